"""Colours, marks and time axes that every figure shares.

The three outcomes differ in hue, in lightness and in their outline: they stay apart for eyes that
do not tell red from green, and on paper printed in black and white.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from forensics.errors import ExtraMissing
from forensics.model import Clip, clock_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = [
    "BASIS_INK", "CLAIM_INK", "NOT_TESTABLE", "OUTCOME_INK", "OUTCOME_LINE", "OUTCOME_WORDS",
    "check_drawing", "outcome_keys", "plain", "short_name", "time_axis",
]  # fmt: skip

#: Dark, light and in between: their greys are 35, 68 and 48 of 100.
OUTCOME_INK = {"inconsistent": "#9c1a1a", "inconclusive": "#dd9a10", "consistent": "#2a6db0"}
OUTCOME_LINE = {"inconsistent": "-", "inconclusive": "--", "consistent": ":"}
OUTCOME_WORDS = {
    "inconsistent": "inconsistent with an original", "inconclusive": "inconclusive",
    "consistent": "consistent with an original",
}  # fmt: skip
#: What a claim held against the evidence came to.
CLAIM_INK = {"supported": "#2a6db0", "contradicted": "#9c1a1a", "undecided": "#7a6a2f"}
#: What puts a clip on the incident's clock.
BASIS_INK = {"reference": "#1f4e79", "sound": "#2f75b5", "clock": "#b8860b", "flash": "#c26a1b",
             "motion": "#7b5ea7", "examiner": "#5a6b5a"}  # fmt: skip
#: How a stretch is drawn in which looking was in vain.
NOT_TESTABLE: dict[str, Any] = {
    "facecolor": "#e6e6e6", "edgecolor": "#b5b5b5", "hatch": "////", "linewidth": 0,
}  # fmt: skip

#: Seconds between two ticks of a time axis; the first that leaves no more than nine is taken.
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def check_drawing() -> None:
    """That figures can be drawn at all: asked before an examination that takes minutes.

    Raises
    ------
    ExtraMissing
        matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401 - asked for, not used
    except ImportError:
        raise ExtraMissing("figures are drawn by matplotlib", extra="notebook") from None


def outcome_keys(found: Collection[str]) -> list[Line2D]:
    """Legend entries of the outcomes that are among `found`."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=ink, linewidth=4, label=OUTCOME_WORDS[verdict])
        for verdict, ink in OUTCOME_INK.items()
        if verdict in found
    ]


def plain(text: str) -> str:
    """Text as it stands: a dollar in a file's name does not begin a formula."""
    return text.replace("$", r"\$")


def short_name(clip: Clip, most: int = 28) -> str:
    """A clip's name; of a long one both ends, which are what tells recordings apart."""
    name = clip.name
    if len(name) > most:
        name = f"{name[: most - most // 2 - 1]}…{name[-(most // 2) :]}"
    return plain(name)


def time_axis(axes: Axes, low: float, high: float) -> None:
    """Show the seconds from `low` to `high` as clock times, as fine as their spacing asks for."""
    from matplotlib.ticker import MultipleLocator

    step = next((s for s in _TICKS if (high - low) / s <= 9), 3600 * (1 + (high - low) // 32400))
    kept = 0 if step >= 1 else 1 if step >= 0.1 else 2
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MultipleLocator(step))

    def told(second: float, _: float) -> str:
        text = clock_text(second)
        return text[: -4 if not kept else len(text) - 3 + kept]

    axes.xaxis.set_major_formatter(told)
