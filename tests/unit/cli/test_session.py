"""Where the API is and who asks: options, then environment, then the data directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.command import Usage
from services.cli.session import DEFAULT_SERVER, target
from services.cli.world import resolve
from services.common.errors import InvalidInput


def test_options_win_over_environment_over_the_data_directory(tmp_path: Path) -> None:
    """The operator's key is the last resort."""
    (tmp_path / "operator.key").write_text("op-key-from-file\n")
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_bytes(b"own ca")
    environment = {"LETTERLOCK_DATA": str(tmp_path)}
    found = target({}, environment)
    assert (found.server, found.token, found.tenant, found.authority) == (
        DEFAULT_SERVER,
        "op-key-from-file",
        "",
        b"own ca",
    )
    (tmp_path / "other.pem").write_bytes(b"other ca")
    environment |= {"LETTERLOCK_SERVER": "a:1", "LETTERLOCK_TOKEN": "t", "LETTERLOCK_TENANT": "acme"}
    found = target({}, environment | {"LETTERLOCK_CA": str(tmp_path / "other.pem")})
    assert (found.server, found.token, found.tenant, found.authority) == ("a:1", "t", "acme", b"other ca")
    found = target({"server": "b:2", "token": "u", "tenant": "globex", "timeout": "2s"}, environment)
    assert (found.server, found.token, found.tenant, found.timeout) == ("b:2", "u", "globex", 2.0)


@pytest.mark.parametrize(
    "wrong", [{"server": "nowhere"}, {"timeout": "soon"}, {"token": "a\nb"}, {"token": "schlüssel"}], ids=str
)
def test_wrong_options_are_wrong_usage(wrong: dict[str, str], tmp_path: Path) -> None:
    """And a token is not repeated."""
    with pytest.raises(Usage) as caught:
        target(wrong, {"LETTERLOCK_DATA": str(tmp_path)})
    assert wrong.get("token", "\0") not in str(caught.value)


def test_missing_named_ca_is_wrong_usage(tmp_path: Path) -> None:
    """It is not silently replaced by another."""
    with pytest.raises(Usage):
        target({}, {"LETTERLOCK_CA": str(tmp_path / "none.pem")})


def test_world_files_are_resolved_beside_it(tmp_path: Path) -> None:
    """Secrets lose their line end, a policy becomes its tree, and a text without files stays as it is."""
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "acme.yaml").write_text("version: 1\nrules: []\n")
    text = "tenants:\n- name: acme\n  policy_file: acme.yaml\n  people:\n  - {address: a@x, password_file: secret}\n"
    resolved = resolve(text, tmp_path)
    assert "_file" not in resolved
    assert "password: s3cret" in resolved
    assert "version: 1" in resolved
    plain = "tenants: []   # nobody yet\n"
    assert resolve(plain, tmp_path) == plain


@pytest.mark.parametrize(
    "text", ["- a\n", "a: [\n", "tenants: [{password: x, password_file: y}]\n", "tenants: [{password_file: none}]\n"]
)
def test_wrong_world_files_are_refused(text: str, tmp_path: Path) -> None:
    """With a reason."""
    with pytest.raises(InvalidInput):
        resolve(text, tmp_path)


def test_closed_pipe_is_no_traceback() -> None:
    """`letterlock --help | head -1` ends quietly."""
    code = "import sys; from services.cli.main import run; sys.exit(run(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("no pipes")
    process.stdout.close()
    assert process.stderr.read() == b""
    process.wait(30)
