"""The doors: exit codes, JSON Lines, nothing but results on stdout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from making import moving_square, write_video

COMMANDS = (
    "open keyframes cuts edits align events clock catalogue copies redact reconstruct appendix "
    "batch verify replay methods doctor demo calibrate listen"
).split()


def _run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "forensics.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, check=False, cwd=cwd,
    )  # fmt: skip


def _rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_promised_command_explains_itself(command: str) -> None:
    done = _run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 10


def test_json_lines_and_nothing_else(moving: Path) -> None:
    done = _run("events", moving, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = _rows(done)
    assert row["clip"] == moving.name and row["outcome"] in ("found", "nothing-found")
    assert done.stderr == ""


def test_the_three_absences_on_the_command_line(moving: Path, tone: Path) -> None:
    (row,) = _rows(_run("keyframes", tone, "--json"))
    assert row["outcome"] == "not-applicable" and "picture" in str(row["reason"])


def test_exit_codes(moving: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing here" * 50)
    assert _run("events", broken).returncode == 1
    assert _run("events").returncode == 2
    assert _run("no-such-command").returncode == 2
    shutil.copy(moving, tmp_path / "good.mp4")
    some = _run("events", tmp_path, "--json")
    assert some.returncode == 3
    rows = {str(row["clip"]).rsplit("/", 1)[-1]: row for row in _rows(some)}
    assert rows["broken.mp4"]["outcome"] == "failed" and rows["broken.mp4"]["reason"]
    assert rows["good.mp4"]["outcome"] != "failed"


def test_an_error_says_what_to_do(tmp_path: Path) -> None:
    done = _run("events", tmp_path / "none.mp4")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("forensics: no such file")
    assert "Traceback" not in done.stderr


def test_a_script_reads_an_error_on_stdout_too(moving: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing here" * 50)
    for command in ("edits", "clock"):
        done = _run(command, broken, "--json")
        (row,) = _rows(done)
        assert done.returncode == 1 and "broken.mp4" in done.stderr
        assert row["outcome"] == "failed" and row["error"] == "ClipUnreadable" and row["reason"]
    (tmp_path / "empty").mkdir()
    (row,) = _rows(_run("edits", tmp_path / "empty", "--json"))
    assert row["error"] == "ClipNotFound"


def test_no_reason_begins_with_the_name_of_a_class(tone: Path) -> None:
    done = _run("keyframes", tone)
    assert "not applicable" in done.stdout and "StreamMissing" not in done.stdout


def test_a_file_whose_name_begins_with_a_dash_is_a_file(moving: Path, tmp_path: Path) -> None:
    shutil.copy(moving, tmp_path / "-x.mp4")
    done = _run("keyframes", "-x.mp4", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = _rows(done)
    assert row["clip"] == "-x.mp4" and row["outcome"] == "found"
    assert _run("keyframes", "-y.mp4", cwd=tmp_path).returncode == 2


def test_a_place_that_cannot_be_written_is_an_error_not_a_traceback(
    moving: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    for command, name in (("open", "rows.csv"), ("keyframes", "sheet.png")):
        done = _run(command, moving, "-o", tmp_path / "taken" / name)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("forensics: ") and "taken" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_record_is_not_written_into_a_picture(moving: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    for command in ("cuts", "events", "copies"):
        done = _run(command, moving, "-o", picture)
        assert done.returncode == 2 and "draws no .png" in done.stderr
        assert not picture.exists()


def test_without_matplotlib_a_figure_is_refused_before_anything_is_examined(
    moving: Path, tmp_path: Path
) -> None:
    hidden = (
        "import sys; sys.modules['matplotlib'] = None; from forensics.cli import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    for command in ("edits", "keyframes", "clock", "align"):
        done = subprocess.run(
            [sys.executable, "-c", hidden, command, str(moving), "-o", str(tmp_path / "a.png")],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1, command
        assert "pip install 'forensics[notebook]'" in done.stderr and not done.stdout, command
        assert "Traceback" not in done.stderr


def test_what_holds_for_every_finding_is_said_once(moving: Path) -> None:
    told = _run("keyframes", moving, "--every", "1").stdout
    assert told.count("error rate") == 1 and "each of these" in told
    assert told.count("keyframe interval, frame ") == 4


def test_markers_for_other_programs_and_a_file_for_each_clip(
    moving: Path, tone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "marks.vtt"
    assert _run("events", moving, tone, "-o", out).returncode == 0
    files = sorted(tmp_path.glob("marks*.vtt"))
    assert len(files) == 2 and out in files, "the second clip must not overwrite the first"
    assert all(f.read_text("utf-8").startswith("WEBVTT") for f in files)
    shutil.copy(moving, tmp_path / "again.mp4")
    done = _run("keyframes", moving, tmp_path / "again.mp4", "-o", tmp_path / "sheet.png")
    assert done.returncode == 0 and len(sorted(tmp_path.glob("sheet*.png"))) == 2
    labels = tmp_path / "marks.txt"
    assert _run("edits", moving, "-o", labels).returncode == 0
    rows = [line.split("\t") for line in labels.read_text("utf-8").splitlines()]
    assert rows and all(len(row) == 3 and float(row[0]) <= float(row[1]) for row in rows)


def test_triage_of_a_folder(moving: Path, tone: Path, tmp_path: Path) -> None:
    for path in (moving, tone):
        shutil.copy(path, tmp_path / path.name)
    out = tmp_path / "rows.csv"
    done = _run("open", tmp_path, "--json", "-o", out)
    assert done.returncode == 0, done.stderr
    assert len(_rows(done)) == 2 and out.read_text("utf-8").count("\n") >= 3
    shutil.copy(tone, tmp_path / "again.wav")
    shown = _run("open", tmp_path, "-o", out)
    table = out.read_text("utf-8")
    assert table.startswith("path,digest,") and "again.wav" in table
    lines = shown.stdout.splitlines()
    assert len(lines) == 5 and lines[-1].startswith("3 files, 0 with alarms")
    assert all(len(line) <= 200 for line in lines)
    alone = _run("open", moving)
    assert f"digest         {_rows(_run('open', moving, '--json'))[0]['digest']}" in alone.stdout


def test_keyframes_as_a_sheet(moving: Path, tmp_path: Path) -> None:
    done = _run("keyframes", moving, "-o", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"


def test_methods_and_doctor() -> None:
    names = {row["method"] for row in _rows(_run("methods", "--json"))}
    assert {"edits", "audio-align", "video-keyframes", "sound-events", "vehicles"} <= names
    states = {row["what"]: row for row in _rows(_run("doctor", "--json"))}
    assert {"numpy", "exiftool", "tesseract", "ffmpeg"} <= set(states)
    missing = [row for row in states.values() if "missing" in str(row["state"])]
    assert all(row["advice"] for row in missing)


def test_real_files_never_end_in_a_traceback(media: Path) -> None:
    """Every container, camera and recording at hand, through the demuxer's triage."""
    folders = [media / name for name in ("containers", "cctv_misc", "audio_multi")]
    done = _run("open", *folders, "--json")
    assert done.returncode in (0, 3)
    assert "Traceback" not in done.stderr
    rows = _rows(done)
    assert len(rows) > 150
    assert all(row.get("digest") or row.get("error") for row in rows)


def test_a_listening_copy_with_its_labels(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    rate = 16000
    samples = 0.02 * np.random.default_rng(5).standard_normal(14 * rate)
    samples[9 * rate : 12 * rate] = samples[2 * rate : 5 * rate]
    soundfile.write(tmp_path / "said.wav", samples, rate)
    done = _run("listen", tmp_path / "said.wav", "-o", tmp_path / "hear.wav", "--labels", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = _rows(done)
    assert row["labels"] == "hear.vtt, hear.txt, hear.png"
    labels = [line.split("\t") for line in (tmp_path / "hear.txt").read_text().splitlines()]
    (copied,) = [x for x in labels if x[2].startswith("copy-move")]
    assert float(copied[0]) == pytest.approx(9, abs=0.1)
    assert "copy-move" in (tmp_path / "hear.vtt").read_text()
    assert (tmp_path / "hear.png").stat().st_size > 10_000
    # The copy itself is refused, whoever asks, before anything is said about it.
    for command in ("edits", "events"):
        refused = _run(command, tmp_path / "hear.wav")
        assert refused.returncode == 1
        assert "listening copy" in refused.stdout.splitlines()[0]
    # A clip without sound leaves no half-written copy behind.
    film = write_video(tmp_path / "film.mp4", moving_square(10), rate=10)
    silent = _run("listen", film, "-o", tmp_path / "none.wav")
    assert silent.returncode == 1
    assert "has no sound" in silent.stderr
    assert not (tmp_path / "none.wav").exists()


@pytest.mark.parametrize("command", ["open", "edits", "events", "align"])
def test_an_empty_folder_is_an_error_not_nothing_found(command: str, tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    done = _run(command, tmp_path / "evidence")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "hint: nothing was" in done.stderr


def test_what_is_not_there_is_never_intact(moving: Path, tmp_path: Path) -> None:
    for arguments in (
        ("verify", tmp_path), ("replay", tmp_path / "ledger.jsonl"),
        ("keyframes", moving, "-o", tmp_path / "k.bmp"),
        ("edits", moving, "-o", tmp_path / "k.foo"),
    ):  # fmt: skip
        done = _run(*arguments)
        assert done.returncode == 1, arguments
        assert done.stderr.startswith("forensics: "), arguments


def test_what_align_writes_goes_by_the_suffix(tone: Path, tmp_path: Path) -> None:
    unknown = _run("align", tone, tone, "-o", tmp_path / "x.foo")
    assert unknown.returncode == 1
    assert ".mp4" in unknown.stderr
    bare = _run("align", tone, tone, "-o", tmp_path / "x.html")
    assert bare.returncode == 1
    assert "--unredacted" in bare.stderr
    assert _run("align", tone, "--at", "3").returncode == 1
    alone = _run("align", tone, "-o", tmp_path / "x.jsonl")
    assert alone.returncode == 0, alone.stderr
    assert "no two clips could be put on one clock" in alone.stdout
    assert json.loads((tmp_path / "x.jsonl").read_text())["placements"] == []
