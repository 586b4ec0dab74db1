"""What can bring about a step, a copy or a standstill, edits and harmless causes side by side."""

from __future__ import annotations

from forensics.model import Explanation

__all__ = ["explain"]

_CAUSES: dict[str, tuple[tuple[str, bool, str], ...]] = {
    "deletion": (
        ("frames removed", False, "frames between the two pictures were taken out"),
        ("part replaced", False, "from here on part of the picture was replaced, or given back"),
        ("recorder dropped frames", True, "a busy camera or a bad link lost frames here"),
        ("motion-triggered pause", True, "the recorder stopped while nothing moved"),
        ("sudden motion", True, "something moved within one frame interval, or the camera did"),
        ("sudden light", True, "a lamp, or the camera's gain, changed within one frame interval"),
        ("caption or lens", True, "writing was laid over the picture, or focus or zoom jumped"),
    ),
    "splice": (
        ("foreign pictures inserted", False, "another view stands between two parts of one"),
        ("camera switch", True, "a sequencer or a producer showed another camera"),
        ("covered or lit lens", True, "something filled the picture for a moment"),
    ),
    "inserted-black": (
        ("black inserted", False, "empty pictures replace what was seen"),
        ("signal lost", True, "the recorder writes black when a camera fails"),
    ),
    "cover-up": (
        ("stretch copied", False, "the same motion stands in two places of the recording"),
        ("machine or loop in the scene", True, "something in view repeats its motion exactly"),
        ("transmission repeat", True, "a link or a player sent a buffered stretch again"),
    ),
    "reorder": (
        ("order changed", False, "two stretches fit better when they change places"),
        ("late delivery", True, "a network recorder stored stretches as they arrived"),
    ),
    "freeze": (
        ("picture held", False, "one picture stands while the view would have moved"),
        ("recorder or link stalled", True, "the last picture is repeated when none arrives"),
        ("everything stood still", True, "nothing in view moved for that time"),
    ),
    "doubled-frames": (
        ("frame-rate conversion", True, "frames are doubled to reach another rate"),
        ("recorder dropped frames", True, "the frame before is repeated for a lost one"),
        ("frames inserted", False, "frames were doubled to lengthen a stretch"),
    ),
}  # fmt: skip
_CAUSES["loop"] = _CAUSES["cover-up"]


#: Where frames are doubled evenly, but only for a while.
_IN_PART = (
    ("stretch slowed down", False, "every frame of a stretch is shown twice: it lasts longer here"),
    ("stretch of another rate", True, "a recorder or a link fell to a lower rate for a while"),
    ("put together", False, "a stretch of another recording, of a lower rate, stands here"),
)


def explain(
    kind: str, *, regular: bool = False, in_part: bool = False
) -> tuple[Explanation, ...]:
    """What can bring such a thing about, likeliest first as far as the pictures alone can tell.

    Parameters
    ----------
    kind
        The kind of discontinuity.
    regular
        What is seen comes again evenly, as no single act does.
    in_part
        Frames are doubled, evenly, in a part of what moves alone.
    """
    order = _IN_PART if in_part else _CAUSES.get(kind, ())
    if not in_part and (kind in ("freeze", "deletion", "inserted-black") or regular):
        # Seen alone, the harmless cause is the commoner one.
        order = tuple(sorted(order, key=lambda item: not item[1]))
    return tuple(
        Explanation(rank, name, benign, text)
        for rank, (name, benign, text) in enumerate(order, start=1)
    )
