"""Drawing: every ``draw_*`` returns a Matplotlib object, and nothing else in the library draws."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.errors import RecordInvalid
from forensics.plots_align import draw_cameras_at, draw_timeline
from forensics.plots_clock import draw_clock
from forensics.plots_container import draw_packets
from forensics.plots_edits import draw_edits, draw_keyframes, draw_strip, write_keyframes
from forensics.plots_incident import draw_reconstruction
from forensics.plots_ink import check_drawing, plain
from forensics.plots_markings import draw_comparison, draw_contact_sheet, draw_palette
from forensics.plots_sound import draw_sound, draw_spectrogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "check_drawing",
    "draw_cameras_at",
    "draw_clock",
    "draw_comparison",
    "draw_contact_sheet",
    "draw_edits",
    "draw_keyframes",
    "draw_packets",
    "draw_palette",
    "draw_reconstruction",
    "draw_sound",
    "draw_spectrogram",
    "draw_strip",
    "draw_timeline",
    "plain",
    "save",
    "write_keyframes",
]


def save(figure: Figure, out: str | os.PathLike[str], *, dpi: int = 130) -> Path:
    """Write a figure; the suffix decides the format. No date goes into the file.

    Raises
    ------
    RecordInvalid
        A suffix that no figure is written as.
    """
    place = Path(out)
    known = figure.canvas.get_supported_filetypes()
    if place.suffix.lower().removeprefix(".") not in known:
        raise RecordInvalid(
            f"a figure is not written as {place.suffix or 'a file without a suffix'!r}",
            hint=f"one of .{', .'.join(sorted(known))}",
        )
    metadata = {"Date": None} if place.suffix.lower() in (".svg", ".svgz") else None
    figure.savefig(place, dpi=dpi, metadata=metadata)
    return place
