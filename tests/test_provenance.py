"""Who said it, from what, and can it be said again: conclude, the ledger, replay."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import msgspec
import pytest

from forensics import calibration, provenance
from forensics.clip import open_clip
from forensics.errors import (
    LedgerBroken,
    RecordInvalid,
    ReplayDiffers,
    SignalTooShort,
    ToolMissing,
)
from forensics.model import (
    Clip,
    Coverage,
    Cut,
    Examination,
    Observation,
    Progress,
    Span,
    Uncalibrated,
)
from forensics.provenance_ledger import Action


def _observe(count: int) -> list[Observation]:
    return [
        Observation(Cut("cut", n, Fraction(n, 25)), Span.of(n / 25, n / 25), 0.5)
        for n in range(count)
    ]


@provenance.method("test-count", version="1", references=("a test",))
def count_things(
    clip: Clip, *, n: int = 2, span: Span | None = None, progress: Progress | None = None
) -> Examination:
    """Say that there are n cuts.

    When it errs
    ------------
    Always: it never looks.
    """
    if n == 99:
        raise SignalTooShort("too little", need_s=2, have_s=1)
    if n == 98:
        raise ToolMissing("gone", tool="x")
    if n == 97:
        raise KeyError("a bug")
    picture = provenance.keep(b"not really a picture", media_type="image/png", label="proof")
    seen = _observe(n)
    return provenance.conclude(
        seen, coverage=Coverage(Span.of(0, 1), 25), artefacts=(picture,) if n else ()
    )


@pytest.fixture
def clip(tone: Path) -> Clip:
    return open_clip(tone, metadata=False)


def test_an_examination_names_its_origin(clip: Clip) -> None:
    exam = count_things(clip, n=3, span=Span.of(0, 1))
    assert exam.outcome == "found" and len(exam) == 3
    origin = exam.findings[0].origin
    assert origin.inputs == (clip.digest,)
    assert origin.parameters == {"n": 3, "span": {"start": "0/1", "end": "1/1"}}
    assert origin.software["python"]
    for name in ("numpy", "scipy", "av", "opencv-python-headless", "onnxruntime"):
        assert origin.software[name] == metadata.version(name)
    assert isinstance(exam.findings[0].error_rate, Uncalibrated)
    assert len({finding.id for finding in exam}) == 3
    assert "Always" in provenance.methods()["test-count"].weaknesses


def test_the_three_absences_stay_apart(clip: Clip) -> None:
    nothing = count_things(clip, n=0)
    assert nothing.outcome == "nothing-found" and nothing
    assert count_things(clip, n=99).outcome == "not-applicable"
    failed = count_things(clip, n=98)
    assert failed.outcome == "failed" and "gone" in failed.reason
    with pytest.raises(KeyError):
        count_things(clip, n=97)


def test_nothing_found_needs_something_looked_at(clip: Clip) -> None:
    with pytest.raises(RecordInvalid, match="registered method"):
        provenance.conclude([], coverage=Coverage(None))


def test_the_chain_shows_a_changed_line(clip: Clip, tmp_path: Path) -> None:
    ledger = provenance.Ledger(tmp_path / "case" / "ledger.jsonl")
    ledger.append(clip)
    ledger.append(count_things(clip))
    ledger.append(Action("tester", "looked"))
    assert ledger.check() == 3 and ledger.clips() == [clip]
    artefacts = list(ledger.artefacts.iterdir())
    assert [a.read_bytes() for a in artefacts] == [b"not really a picture"]
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    for damage in (
        [lines[0].replace(b'"size":', b'"size":1'), *lines[1:]],
        [lines[0], lines[2]],
        [lines[0], lines[2], lines[1]],
    ):
        ledger.path.write_bytes(b"".join(damage))
        with pytest.raises(LedgerBroken):
            ledger.check()


def test_a_ledger_from_before_a_field_existed_is_no_forgery(clip: Clip, tmp_path: Path) -> None:
    """A later version's record may have a field more; the lines written before it stand."""
    ledger = provenance.Ledger(tmp_path / "ledger.jsonl")
    ledger.append(count_things(clip))
    ledger.append(Action("tester", "looked"))
    first, second = (msgspec.json.decode(line) for line in ledger.path.read_bytes().splitlines())
    del first["body"]["examination"]["measures"]
    older = msgspec.json.encode(first, order="sorted")
    second["previous"] = hashlib.sha256(older).hexdigest()
    after = msgspec.json.encode(second, order="sorted")
    ledger.path.write_bytes(older + b"\n" + after + b"\n")
    assert ledger.check() == 2
    # The same value in other bytes is still a line that somebody wrote again.
    ledger.path.write_bytes(older + b"\n" + after.replace(b'":', b'": ', 1) + b"\n")
    with pytest.raises(LedgerBroken, match="rewritten"):
        ledger.check()


@pytest.mark.parametrize("cut", [1, 20, 400])
def test_a_torn_last_line_loses_nothing_else(clip: Clip, tmp_path: Path, cut: int) -> None:
    ledger = provenance.Ledger(tmp_path / "ledger.jsonl")
    ledger.append(clip)
    ledger.append(count_things(clip))
    whole = ledger.path.read_bytes()
    torn = whole[:-cut]
    ledger.path.write_bytes(torn)
    assert ledger.torn and ledger.check() == 1
    ledger.append(Action("tester", "after the crash"))
    said = [entry.said for entry in ledger]
    assert isinstance(said[1], Action) and said[1].what == "torn line set aside"
    aside = next(tmp_path.glob("ledger.jsonl.torn-*"))
    assert aside.read_bytes() == torn.splitlines(keepends=True)[1]


def test_a_killed_writer_leaves_a_readable_ledger(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    code = (
        "import sys, os\n"
        "from forensics.provenance import Ledger\n"
        "from forensics.provenance_ledger import Action\n"
        f"ledger = Ledger({str(path)!r})\n"
        "for n in range(100000):\n"
        "    ledger.append(Action('x', str(n)))\n"
        "    print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(20):
        last = int(process.stdout.readline())
    process.kill()
    process.communicate()
    ledger = provenance.Ledger(path)
    assert ledger.check() >= last + 1


def test_a_replay_gives_the_same_findings(clip: Clip, tmp_path: Path) -> None:
    ledger = provenance.Ledger(tmp_path / "ledger.jsonl")
    ledger.append(count_things(clip, n=4, span=Span.of(0, 2)))
    recorded = ledger.examinations()[0]
    again = provenance.replay(recorded, [clip])
    provenance.check_replay(recorded, again)
    assert [f.id for f in recorded] == [f.id for f in again]
    other = count_things(clip, n=3)
    with pytest.raises(ReplayDiffers, match="findings"):
        provenance.check_replay(recorded, other)


def test_a_replay_on_other_bytes_is_refused(clip: Clip, tone_copy: Path) -> None:
    recorded = count_things(clip)
    other = open_clip(tone_copy, metadata=False)
    with pytest.raises(ReplayDiffers, match="digests"):
        provenance.replay(recorded, [other])


def test_error_rates_are_exact_and_never_zero() -> None:
    none = calibration.item_rate(0, 59)
    assert none.low == 0 and none.high == pytest.approx(0.0606, abs=1e-3)
    assert calibration.item_rate(0, 300).high == pytest.approx(0.0122, abs=1e-4)
    hourly = calibration.hourly_rate(0, 2.0)
    assert hourly.high == pytest.approx(1.844, abs=1e-3)
    with pytest.raises(RecordInvalid):
        calibration.item_rate(3, 2)
    known = calibration.error_rate("no-such-method", "1")
    assert isinstance(known, Uncalibrated) and "not been measured" in known.reason
