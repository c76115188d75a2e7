"""Detectors of one's own and sets of data at the command line: files become requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from letterlock.policy.v1 import dataset_pb2 as pb
from letterlock.policy.v1 import owndetector_pb2 as own_pb

from tests.unit.cli.server import FakeApi
from tests.unit.cli.test_run import ask

DETECTOR = own_pb.OwnDetector(name="project", revision=1, patterns=own_pb.PatternRule(patterns=["a", "b"]))


def test_patterns_are_lines_of_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With commas, without comments; what was made is told short, and whole by get."""
    api = FakeApi({
        "policy.OwnDetectorService.CreateOwnDetector": own_pb.CreateOwnDetectorResponse(detector=DETECTOR),
        "policy.OwnDetectorService.GetOwnDetector": own_pb.GetOwnDetectorResponse(detector=DETECTOR),
    })  # fmt: skip
    file = tmp_path / "p.txt"
    file.write_text("# projects\nPRJ-[0-9]{4,6}\n\n機密\n")
    words = ("detector", "create", "project", "--patterns", str(file), "--context", "project,案號", "--ignore-case")
    answer = ask(api, capsys, *words, "-o", "json")
    assert answer.json["patterns"] == 2
    sent = api.asked[0][1].detector
    assert list(sent.patterns.patterns) == ["PRJ-[0-9]{4,6}", "機密"]
    assert (sent.patterns.ignore_case, list(sent.patterns.context)) == (True, ["project", "案號"])
    assert ask(api, capsys, "detector", "get", "project", "-o", "json").json["patterns"]["patterns"] == ["a", "b"]
    assert ask(api, capsys, "detector", "create", "project").status == 2


def test_words_have_a_tab_and_a_weight(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Or none: then it is one."""
    made = own_pb.UpdateOwnDetectorResponse(detector=own_pb.OwnDetector(name="cv", words=own_pb.WordRule(threshold=5)))
    api = FakeApi({"policy.OwnDetectorService.UpdateOwnDetector": made})
    file = tmp_path / "w.txt"
    file.write_text("resume\t3\n學歷\n")
    words = ("detector", "update", "cv", "--words", str(file), "--threshold", "5", "--revision", "2")
    assert ask(api, capsys, *words).status == 0
    request = api.asked[0][1]
    assert [(w.word, w.weight) for w in request.detector.words.words] == [("resume", 3), ("學歷", 1)]
    assert (request.detector.words.threshold, request.revision) == (5, 2)
    file.write_text("resume\tmany\n")
    assert ask(api, capsys, *words).status == 2


def test_a_table_goes_up_in_parts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Chosen columns in the order asked for, with the lines of the file; then it is committed once."""
    api = FakeApi({
        "policy.DataSetService.UploadRows": pb.UploadRowsResponse(rows=1),
        "policy.DataSetService.CommitRows": pb.CommitRowsResponse(set=pb.DataSet(name="customers", rows=12_000)),
    })  # fmt: skip
    file = tmp_path / "c.csv"
    rows = "".join(f'{i},"N, {i}",ID{i:08}\n' for i in range(12_000))
    file.write_text("\ufeffno,name,id\n" + rows)
    words = ("dataset", "upload", "customers", str(file), "--column", "id,name")
    assert ask(api, capsys, *words, "-o", "json").json["rows"] == 12_000
    *parts, commit = [request for _, request in api.asked]
    assert [(p.part, p.line, len(p.rows)) for p in parts] == [(0, 2, 5000), (1, 5002, 5000), (2, 10_002, 2000)]
    assert (list(parts[0].columns), list(parts[0].rows[0].cells)) == (["id", "name"], ["ID00000000", "N, 0"])
    assert {p.upload for p in parts} == {commit.upload}
    assert commit.parts == 3
    for bad in ("", "a,b\n", "id\nx,y\n"):
        file.write_text(bad)
        assert ask(api, capsys, "dataset", "upload", "customers", str(file)).status == 2
    file.write_text("id\nx\n")
    assert ask(api, capsys, "dataset", "upload", "customers", str(file), "--column", "name").status == 2


def test_documents_go_with_their_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without the folder; or another name."""
    api = FakeApi({"policy.DataSetService.AddDocument": pb.AddDocumentResponse(set=pb.DataSet(name="contracts"))})
    file = tmp_path / "master.docx"
    file.write_bytes(b"PK")
    assert ask(api, capsys, "dataset", "add", "contracts", str(file)).status == 0
    assert ask(api, capsys, "dataset", "add", "contracts", str(file), "--as", "Master 2026").status == 0
    assert [(r.set, r.name, r.file) for _, r in api.asked] == [
        ("contracts", "master.docx", b"PK"), ("contracts", "Master 2026", b"PK"),
    ]  # fmt: skip
