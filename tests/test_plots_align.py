"""The timeline says what is known of a clip's clock, and keeps names and reasons whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics import open_clip
from forensics.model import Alignment, Origin, Placement, Quantity, Unplaced

pytest.importorskip("matplotlib")

NAME = "video_2021-10-15_09-12-44_forwarded.mp4"


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        (Quantity(-1.2e-13, "ppm", -110.9, 110.9), "no drift measured (within ± 111 ppm)"),
        (Quantity(0.0018, "ppm", -1.17, 1.18), "no drift measured (within ± 1.2 ppm)"),
        (Quantity(80.0, "ppm", 60.0, 100.0), "clock +80 ± 20 ppm"),
        (Quantity(6.26, "ppm", 5.0, 7.5), "clock +6.3 ± 1.2 ppm"),
    ],
)
def test_a_drift_that_is_not_measured_is_not_a_number(
    drift: Quantity, said: str, moving: Path, tmp_path: Path
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    from forensics.plots_align import draw_timeline

    named = tmp_path / NAME
    named.write_bytes(moving.read_bytes())
    other = tmp_path / "a$1_{$.mp4"
    other.write_bytes(moving.read_bytes() + b"\0")
    first, second = open_clip(named, metadata=False), open_clip(other, metadata=False)
    reason = "no shared sound: " + "the best of 8 comparisons would be reached by strangers; " * 6
    alignment = Alignment(
        Origin("audio-align", "5", (first.digest, second.digest), {}, {}), first.digest,
        (Placement(first.digest, Quantity.exact(0, "s"), Quantity.exact(0, "ppm"), "reference", ()),
         Placement(second.digest, Quantity(1.25, "s", 1.2, 1.3), drift, "sound", ("b",))),
        (), (), (Unplaced("0" * 64, "nothing-found", reason),),
    )  # fmt: skip
    figure = draw_timeline(alignment, [first, second])
    FigureCanvasAgg(figure).draw()
    texts = [t.get_text() for t in figure.findobj(Text)]
    assert any(said in text for text in texts) and not any("-0.0" in text for text in texts)
    # Both ends of a long name, not an ellipsis alone, and the whole of a reason.
    label = next(t for t in texts if "…" in t)
    assert label.startswith("video_2021") and label.endswith("rwarded.mp4")
    assert sum(t.count("reached by") for t in texts) == 6
    assert not any("[...]" in t or "[…]" in t for t in texts)
