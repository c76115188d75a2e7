"""Generate `proto/gen` from `proto/letterlock`; with `--check`, only say whether it is fresh.

`make proto` writes, `make check-proto` compares. Only files with a `service`
get a gRPC module, else empty stubs would appear.
"""

from __future__ import annotations

import filecmp
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "proto"
GENERATED = SOURCE / "gen"


def generate(target: Path) -> None:
    """Write the Python modules of every `.proto` below `proto/letterlock` into `target`."""
    import grpc_tools
    from grpc_tools import protoc

    files = sorted((SOURCE / "letterlock").rglob("*.proto"))
    names = [str(f.relative_to(SOURCE)) for f in files]
    rpcs = [n for n, f in zip(names, files, strict=True) if re.search(r"^service ", f.read_text(), re.M)]
    include = [
        "protoc",
        f"-I{SOURCE}",
        f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
    ]
    target.mkdir(parents=True, exist_ok=True)
    if protoc.main([*include, f"--python_out={target}", f"--pyi_out={target}", *names]) != 0:
        raise SystemExit("error: protoc failed")
    if rpcs and protoc.main([*include, f"--grpc_python_out={target}", *rpcs]) != 0:
        raise SystemExit("error: protoc failed for gRPC")
    for folder in {target / Path(n).parent for n in names}:
        for part in (folder, *folder.parents):
            if part == target:
                break
            (part / "__init__.py").touch()


def _files(folder: Path) -> dict[str, Path]:
    return {str(f.relative_to(folder)): f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts}


def main(arguments: list[str]) -> int:
    """Return 0 when `proto/gen` is (now) fresh, 1 with a list of differences otherwise."""
    if "--check" not in arguments:
        for stale in _files(GENERATED).values():
            stale.unlink()
        generate(GENERATED)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        want, have = _files(Path(scratch)), _files(GENERATED)
        wrong = sorted(
            name
            for name in want.keys() | have.keys()
            if name not in want or name not in have or not filecmp.cmp(want[name], have[name], shallow=False)
        )
    for name in wrong:
        print(f"error: proto/gen/{name} is stale: run `make proto`", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
