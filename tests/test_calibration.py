"""The table of error rates: merged without contradictions, and honest about where it ends."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from forensics import batch_golden, calibration
from forensics.errors import RecordInvalid
from forensics.model import (
    Coverage,
    Examination,
    Origin,
    Span,
    Uncalibrated,
    from_json,
    to_builtins,
)

ROW = calibration.Row(
    "m", "1", "h264", 18, 2, 1, 40, False, "a data set", "ab" * 32, 30, "2026-11-22", "x.py"
)
GOLDEN = Path(__file__).resolve().parent / "golden" / "methods.jsonl"


def _write(folder: Path, name: str, *rows: calibration.Row) -> None:
    (folder / f"rates_{name}.json").write_text(json.dumps([to_builtins(r) for r in rows]))


def test_rows_are_merged_and_sorted(tmp_path: Path) -> None:
    other = msgspec.structs.replace(ROW, stratum="re-upload")
    _write(tmp_path, "b", other)
    _write(tmp_path, "a", ROW)
    (tmp_path / "speed.json").write_text("{}")
    rows = calibration.merge_rows(tmp_path)
    assert rows == (ROW, other)
    table = calibration.write_table(rows, tmp_path / "table.json")
    assert calibration.read_table(table) == rows
    assert calibration.write_table((), table).read_text() == "[]\n"


@pytest.mark.parametrize(
    "rows",
    [
        (ROW, ROW),
        (msgspec.structs.replace(ROW, false_positives=41),),
        (msgspec.structs.replace(ROW, true_positives=0, false_negatives=0),),
    ],
    ids=["twice", "more alarms than items", "nothing to find"],
)
def test_what_is_no_rate_is_refused(tmp_path: Path, rows: tuple[calibration.Row, ...]) -> None:
    _write(tmp_path, "a", *rows)
    with pytest.raises(RecordInvalid):
        calibration.merge_rows(tmp_path)


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "rates_x.json").write_text('[{"method": "m", "colour": "red"}]')
    with pytest.raises(RecordInvalid, match="rates_x"):
        calibration.merge_rows(tmp_path)


def test_applicability_says_in_out_or_unknown() -> None:
    origin = Origin("m", "1", ("0" * 64,), {}, {})
    exam = Examination(origin, "nothing-found", (), Coverage(Span.of(0, 1), 1))
    measured = msgspec.structs.replace(exam, error_rate=calibration.measure_row(ROW))
    assert calibration.judge_applicability(measured, [ROW])[0] == "in range"
    unknown = msgspec.structs.replace(exam, error_rate=Uncalibrated("not for 'night'"))
    assert calibration.judge_applicability(unknown, [ROW]) == ("out of range", "not for 'night'")
    assert calibration.judge_applicability(unknown, [])[0] == "unknown"
    newer = msgspec.structs.replace(ROW, version="2")
    assert calibration.judge_applicability(unknown, [newer])[0] == "unknown"


def test_a_measured_row_gives_both_rates_with_their_bounds() -> None:
    rate = calibration.measure_row(ROW)
    assert (rate.false_positive.events, rate.false_positive.trials) == (1, 40)
    assert (rate.miss.events, rate.miss.trials) == (2, 20)
    assert 0 < rate.miss.low < 0.1 < rate.miss.high < 0.4
    hourly = calibration.measure_row(msgspec.structs.replace(ROW, per_hour=True, negatives=2.5))
    assert hourly.false_positive.unit == "per hour" and hourly.false_positive.trials == 2.5


def test_the_bounds_are_those_of_the_beta_and_gamma_distributions() -> None:
    from scipy.special import betaincinv, gammaincinv

    for trials in (1, 2, 10, 59, 743, 8000):
        for events in {0, 1, trials // 7, trials // 2, trials - 1, trials}:
            rate = calibration.item_rate(events, trials)
            low = betaincinv(events, trials - events + 1, 0.025) if events else 0.0
            high = betaincinv(events + 1, trials - events, 0.975) if events < trials else 1.0
            assert (rate.low, rate.high) == pytest.approx((low, high), rel=1e-8)
    for events in (0, 1, 2, 17, 682, 5000):
        rate = calibration.hourly_rate(events, 2.5)
        low = gammaincinv(events, 0.025) / 2.5 if events else 0.0
        assert rate.low == pytest.approx(low, rel=1e-8)
        assert rate.high == pytest.approx(gammaincinv(events + 1, 0.975) / 2.5, rel=1e-8)


def test_the_shipped_table_reads_and_has_no_condition_twice() -> None:
    rows = calibration.read_table()
    keys = [(r.method, r.version, r.stratum) for r in rows]
    assert len(set(keys)) == len(keys)
    for row in rows:
        calibration.measure_row(row)


def test_golden_examinations_come_again() -> None:
    rows = batch_golden.revalidate(GOLDEN)
    assert {r.step for r in rows} >= {"video.find_keyframes", "events.find_events"}
    bad = [r for r in rows if r.state not in ("same", "new version")]
    assert not bad, bad


def test_a_changed_answer_and_its_packages_are_named(tmp_path: Path) -> None:
    lines = [from_json(line, batch_golden.Golden) for line in GOLDEN.read_bytes().splitlines()]
    loud = next(g for g in lines if g.step == "events.find_events" and g.examination.findings)
    exam = loud.examination
    software = exam.origin.software | {"numpy": "0.9"}
    told = msgspec.structs.replace(
        loud, examination=msgspec.structs.replace(
            exam, findings=exam.findings[1:],
            origin=msgspec.structs.replace(exam.origin, software=software),
        ),
    )  # fmt: skip
    path = tmp_path / "golden.jsonl"
    path.write_text("\n".join(json.dumps(to_builtins(g)) for g in [told]) + "\n")
    found = next(r for r in batch_golden.revalidate(path)
                 if (r.input, r.step) == (told.input, told.step))  # fmt: skip
    assert found.state == "differs" and "findings" in found.reason
    assert any(c.startswith("numpy 0.9 → ") for c in found.changed)
