"""The whole path: an incident folder in, a reconstruction with its record out."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forensics import provenance, report
from forensics.catalogue import Catalogue
from forensics.cli import app
from forensics.cli_demo import compare
from forensics.clip import hash_file
from forensics.errors import ClipNotFound, LedgerBroken, PolicyError, RecordInvalid
from forensics.incident import Incident, Reconstruction
from forensics.model import Alignment, Examination

PLAN = """
title = "A test"
[[clips]]
id = "one"
path = "one.mp4"
"""


def _folder(home: Path, plan: str) -> Path:
    home.mkdir(exist_ok=True)
    (home / "incident.toml").write_text(plan, "utf-8")
    return home


def test_a_plan_is_taken_at_its_word(tmp_path: Path) -> None:
    assert Incident.open(_folder(tmp_path / "a", PLAN)).plan.clips[0].id == "one"
    with pytest.raises(ClipNotFound):
        Incident.open(tmp_path / "none")
    for number, wrong in enumerate(
        [
            PLAN + 'colour = "blue"\n',
            'colour = "blue"\n' + PLAN,
            PLAN + '[[clips]]\nid = "one"\npath = "two.mp4"\n',
            PLAN + '[[regions]]\nclip = "two"\nname = "r"\npolygon_px = [[0, 0]]\n',
            PLAN + '[[claims]]\nid = "c"\ntext = "t"\nsource = "s"\nexpects = {kind = "guilt"}\n',
            "schema = 2\n" + PLAN,
            'title = "x"\nclips = []\n',
            "not toml at all",
        ]
    ):
        with pytest.raises(RecordInvalid):
            Incident.open(_folder(tmp_path / f"wrong{number}", wrong))


def test_a_file_that_fails_fails_alone(moving: Path, tmp_path: Path) -> None:
    plan = PLAN + '[[clips]]\nid = "two"\npath = "broken.mp4"\n'
    plan += '[[clips]]\nid = "three"\npath = "missing.mp4"\n'
    home = _folder(tmp_path / "case", plan)
    shutil.copy(moving, home / "one.mp4")
    (home / "broken.mp4").write_bytes(b"no media" * 100)
    opened, failures = Incident.open(home).open_clips()
    assert list(opened) == ["one"]
    assert [f.error for f in failures] == ["ClipUnreadable", "ClipNotFound"]
    assert failures[0].digest == hash_file(home / "broken.mp4") and not failures[1].digest


@pytest.fixture(scope="module")
def case(staged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the staged incident, without the truth: the library must not see it."""
    home = tmp_path_factory.mktemp("case") / "incident"
    shutil.copytree(staged, home)
    (home / "truth.json").unlink()
    return home


@pytest.fixture(scope="module")
def done(case: Path) -> Reconstruction:
    return Incident.open(case).reconstruct()


@pytest.fixture(scope="module")
def rows(case: Path, done: Reconstruction, staged: Path) -> dict[str, dict[str, str]]:
    truth = json.loads((staged / "truth.json").read_text("utf-8"))
    names = Incident.open(case).names(done.clips)
    return {row["what"]: row for row in compare(done, names, truth)}


def test_what_was_staged_is_found(rows: dict[str, dict[str, str]]) -> None:
    must = [
        "phone_b starts at", "phone_c starts at", "copy starts at", "stranger belongs",
        "cctv starts at", "cctv edited", "phone_a edited", "phone_b edited", "phone_c edited",
        "copy edited", "stranger edited", "copy is a copy", "further copies", "emblems in phone_a",
        *(f"shot {n} in phone_{p}" for n in (1, 2, 3) for p in "abc"),
        "claim three-shots", "claim flash-and-bang", "claim one-recording", "claim emblem-seen",
        "claim behind-tree",
    ]  # fmt: skip
    wrong = {name: rows[name] for name in must if rows[name]["agrees"] != "yes"}
    assert not wrong


def test_no_claim_is_decided_against_the_truth(rows: dict[str, dict[str, str]]) -> None:
    for name, row in rows.items():
        if name.startswith("claim "):
            said = row["found"].split(":")[0]
            assert said in (row["staged"], "undecided"), row


def test_the_record_holds_everything_and_a_second_run_adds_nothing(
    case: Path, done: Reconstruction
) -> None:
    incident = Incident.open(case)
    before = incident.ledger.check()
    assert len(incident.ledger.clips()) == len(done.clips) == 6
    assert any(isinstance(e.said, Alignment) for e in incident.ledger)
    again = incident.reconstruct()
    assert incident.ledger.check() == before
    assert [e.origin for e in again.examinations] == [e.origin for e in done.examinations]
    assert again.verdicts == done.verdicts
    for clip in done.clips:
        assert hash_file(clip.path) == clip.digest


def test_the_folder_shows_itself_from_the_shell(
    case: Path, done: Reconstruction, tmp_path: Path
) -> None:
    runner, page = CliRunner(), tmp_path / "all.html"
    bare = runner.invoke(app, ["reconstruct", str(case), "-o", str(page)])
    assert isinstance(bare.exception, PolicyError) and not page.exists()
    asked = ["reconstruct", str(case), "-o", str(page), "--between", "1", "2", "--unredacted"]
    shown = runner.invoke(app, asked)
    assert shown.exit_code == 0, shown.output
    assert "phone_c" in page.read_text("utf-8")
    figure = tmp_path / "all.png"
    assert runner.invoke(app, ["reconstruct", str(case), "-o", str(figure)]).exit_code == 0
    assert figure.stat().st_size > 50_000
    assert Incident.open(case).ledger.check()


def test_every_artefact_is_what_its_name_says(case: Path, done: Reconstruction) -> None:
    ledger = Incident.open(case).ledger
    artefacts = list(ledger.artefacts.iterdir())
    assert artefacts
    assert all(hash_file(path) == path.stem for path in artefacts)


def test_a_recorded_line_can_be_run_again(case: Path, done: Reconstruction) -> None:
    ledger = Incident.open(case).ledger
    clips = {clip.digest: clip for clip in ledger.clips()}
    chosen: dict[str, Examination] = {}
    for exam in ledger.examinations():
        if exam.origin.method in ("container-discontinuities", "sound-events", "video-keyframes"):
            chosen.setdefault(exam.origin.method, exam)
    assert len(chosen) == 3
    for exam in chosen.values():
        again = provenance.replay(exam, [clips[d] for d in exam.origin.inputs])
        provenance.check_replay(exam, again)


def test_the_appendix_stands_alone(case: Path, done: Reconstruction, tmp_path: Path) -> None:
    out = report.write_appendix(Incident.open(case), tmp_path / "appendix.html")
    page = out.read_text("utf-8")
    for clip in done.clips:
        assert clip.digest in page
    for verdict in done.verdicts:
        assert verdict.claim.text in page or verdict.claim.name in page
    for word in ("nothing found", "not applicable", "<img"):
        assert word in page.lower()
    # A file's own encoder string may hold an address; it is printed as text and leads nowhere.
    assert not re.search(r"(?:src|href|action)\s*=\s*[\"']?(?:https?:)?//", page)


def test_the_catalogue_is_rebuilt_from_the_ledger(case: Path, done: Reconstruction) -> None:
    incident = Incident.open(case)
    catalogue = Catalogue.build(incident.ledger, case / "catalogue.sqlite")
    assert len(catalogue) == sum(len(exam) for exam in incident.ledger.examinations())
    shots = catalogue.search(kind="sound-event", between=(-5.0, 40.0))
    assert len(shots) >= 9 and all(hit.incident is not None for hit in shots)
    assert catalogue.search(kind="discontinuity", verdict="inconsistent", clip="cctv_cam04.mp4")


def test_nothing_is_built_on_a_changed_ledger(case: Path, done: Reconstruction) -> None:
    incident = Incident.open(case)
    kept = incident.ledger.path.read_bytes()
    incident.ledger.path.write_bytes(kept.replace(b'"score":1.0', b'"score":0.9', 1))
    try:
        with pytest.raises(LedgerBroken):
            incident.reconstruct()
    finally:
        incident.ledger.path.write_bytes(kept)


@pytest.mark.loopback
def test_the_notebook_tells_it_from_top_to_bottom(
    case: Path, done: Reconstruction, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    root = Path(__file__).resolve().parent.parent
    monkeypatch.setenv("FORENSICS_INCIDENT", str(case))
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    book = nbformat.read(root / "notebooks" / "05_reconstruct_the_incident.ipynb", 4)
    assert all(not cell.get("outputs") for cell in book.cells)
    place = {"metadata": {"path": str(root / "notebooks")}}
    NotebookClient(book, timeout=600, resources=place).execute()
    pictures = [
        o for c in book.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
    ]
    assert len(pictures) >= 3
