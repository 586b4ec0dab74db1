"""Draw what was found in one clip: the strip with every level on one axis, and keyframe sheets."""

from __future__ import annotations

import base64
import html
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.errors import ForensicsError, RecordInvalid
from forensics.model import (
    Artefact,
    Clip,
    Discontinuity,
    Examination,
    Keyframe,
    Observation,
    clock_text,
)
from forensics.plots_cover import UNREDACTED, cover_bystanders, say_what_is_covered
from forensics.plots_ink import plain, time_axis
from forensics.plots_levels import LISTED, draw_legend, draw_levels, draw_list, levels_of
from forensics.plots_sound import draw_spectrogram
from forensics.provenance import artefact_bytes
from forensics.scan import read_pictures
from forensics.video import measure_frames

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_edits", "draw_keyframes", "draw_strip", "write_keyframes"]

#: Why a keyframe was picked, for somebody who has not met these words.
_REASONS = {
    "shot": "the sharpest picture of its shot", "newcomer": "something new in a still view",
    "event": "a sudden change", "interval": "its time was asked for",
    "sharpest": "the sharpest picture there is",
}  # fmt: skip

#: Inches of the figure that its time axis is wide, and that its pictures are high at the most.
_AXIS_IN, _STRIP_IN = 8.2, 1.15


def draw_strip(
    clip: Clip, axes: Axes, *, count: int | None = None, at_s: Sequence[float] = (),
    unredacted: bool = False,
) -> None:  # fmt: skip
    """A strip of pictures along the time axis, upright, each with its time in the clip.

    Parameters
    ----------
    clip
        An opened clip.
    axes
        Where to draw; its x axis is seconds of the clip.
    count
        Number of pictures; by default as many as stand side by side without being squeezed.
    at_s
        Seconds of the clip to show, the most wanted first: where one lies in a picture's stretch,
        it is shown, elsewhere the middle of the stretch.
    unredacted
        Show faces; otherwise they are covered where they are found.
    """
    import numpy as np
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage
    from PIL import Image

    measured = measure_frames(clip)
    times = measured.seconds
    # One picture lasts no time between stamps.
    last = max(float(times[-1]), float(times[0]) + 0.1)
    fitting, tall = _fitting(clip)
    count = count or fitting
    edges = np.linspace(float(times[0]), last, count + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    wanted = [
        next((at for at in at_s if low <= at < high), middle)
        for low, high, middle in zip(edges[:-1], edges[1:], middles, strict=True)
    ]
    rows = np.minimum(np.searchsorted(times, np.array(wanted) - 1e-6), len(times) - 1)
    pictures = read_pictures(clip, [(int(r), int(measured.pts[r])) for r in rows])
    for middle, picture in zip(middles, pictures, strict=False):
        # At this size no plate can be read.
        shown = picture.rgb if unredacted else cover_bystanders(picture.rgb, plates=False)
        image = Image.fromarray(shown)
        image.thumbnail((320, 320), Image.Resampling.LANCZOS)
        # Placed by its middle and sized in inches: stretching would falsify what it shows.
        wide = min(tall * image.width / image.height, 0.92 * _AXIS_IN / count)
        seen = OffsetImage(np.asarray(image), zoom=72 * wide / image.width)
        axes.add_artist(AnnotationBbox(seen, (middle, 0.5), frameon=False, pad=0))
        axes.text(middle, 1.02, clock_text(picture.pts), ha="center", va="bottom", fontsize=6.5)
    axes.set_xlim(float(edges[0]), float(edges[-1]))
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(bottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)


def _fitting(clip: Clip) -> tuple[int, float]:
    """How many pictures stand side by side, and how high they then are, in inches."""
    stream = clip.video
    wide, high = (stream.width, stream.height) if stream is not None else (4, 3)
    if stream is not None and stream.rotation % 180:
        wide, high = high, wide
    shape = max(wide, 1) / max(high, 1)
    count = max(7, min(14, int(_AXIS_IN / (1.03 * _STRIP_IN * shape))))
    return count, min(_STRIP_IN, 0.92 * _AXIS_IN / count / shape)


def _telling_s(seen: Sequence[Observation]) -> list[float]:
    """The middles of what was found, the surest first: what the strip should not leave out."""
    order = {"inconsistent": 0, "inconclusive": 1, "consistent": 2}
    placed = [o for o in seen if o.span is not None and isinstance(o.what, Discontinuity)]
    placed.sort(key=lambda o: (order[o.what.verdict], -o.score))  # type: ignore[union-attr]
    return [float(o.span.start + o.span.end) / 2 for o in placed if o.span is not None]


def draw_edits(clip: Clip, examination: Examination) -> Figure:
    """One figure a person understands: pictures, motion, every level, and where looking was vain.

    Parameters
    ----------
    clip
        The clip examined.
    examination
        From `edits.find_edits` (or one level's own).

    Returns
    -------
    matplotlib.figure.Figure
        On one time axis: thumbnails; change from picture to picture (of sound alone a spectrogram
        instead of both); the findings by level, numbered. Beside each level what came of it;
        below, what each number stands for. Grey hatching: not testable there; a narrow strip: one
        of its traces is not, and which.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    seen = [o for o in examination.observations if isinstance(o.what, Discontinuity)]
    levels = levels_of(seen, examination)
    heard = clip.video is None and clip.audio is not None
    listed = 0.2 * (min(len(seen), LISTED) + 1.6) if seen else 0.0
    heights = [*([1.95] if heard else [_fitting(clip)[1] + 0.1, 0.8]), 0.42 * len(levels) + 0.3]
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(12, sum(heights) + listed + 1.2), layout="constrained")
        parts = [sum(heights) + 0.9, *([listed] if listed else [])]
        upper, *lower = figure.subfigures(len(parts), 1, height_ratios=parts, squeeze=False)[:, 0]
        *shown, table = upper.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        try:
            if heard:
                draw_spectrogram(clip, shown[0])
            else:
                draw_strip(clip, shown[0], at_s=_telling_s(seen))
                _draw_motion(clip, shown[1])
        except ForensicsError as error:
            for axes in shown:
                axes.text(0.5, 0.5, plain(error.message), transform=axes.transAxes, ha="center")
                axes.set_yticks([])
        span = examination.coverage.span
        if span is not None:
            low, high = float(span.start), float(span.end)
            time_axis(table, low, max(high, low + 0.1))
        draw_levels(table, clip, seen, levels, examination)
        table.set_xlabel("time in the clip (h:mm:ss)")
        draw_legend(table, seen)
        if lower:
            draw_list(lower[0].subplots(), seen, examination)
        sure = sum(isinstance(o.what, Discontinuity) and o.what.verdict == "inconsistent"
                   for o in seen)  # fmt: skip
        figure.suptitle(
            f"{plain(clip.name)}: {len(seen)} finding{'s' if len(seen) != 1 else ''}, "
            f"{sure} inconsistent with an original"
            if seen else f"{plain(clip.name)}: {examination.outcome.replace('-', ' ')}",
            x=0.01, ha="left", fontsize=11, fontweight="bold",
        )  # fmt: skip
    return figure


def _draw_motion(clip: Clip, axes: Axes) -> None:
    import numpy as np

    measured = measure_frames(clip)
    values = np.array(measured.columns["peak"])
    values[0] = 0
    axes.fill_between(measured.seconds, values, step="mid", color="#4f6d94", linewidth=0)
    axes.set_ylabel("change between\npictures\n(grey levels)", fontsize=8)
    axes.set_ylim(0, max(5.0, float(values.max()) * 1.1))


def _pictures(examination: Examination) -> list[tuple[Keyframe, Artefact]]:
    pairs = [
        (o.what, o.artefacts[0])
        for o in examination.observations
        if isinstance(o.what, Keyframe) and o.artefacts
    ]
    if not pairs:
        raise RecordInvalid("this examination holds no keyframes to draw")
    return pairs


def _caption(key: Keyframe) -> str:
    return f"{clock_text(key.pts)}   frame {key.ordinal}   {key.reason}"


def _shown(artefact: Artefact, folder: Path | None, unredacted: bool) -> bytes:
    """A keyframe's picture; with bystanders covered it is coded again, as JPEG."""
    import numpy as np
    from PIL import Image

    content = artefact_bytes(artefact, folder=folder)
    if unredacted:
        return content
    with Image.open(io.BytesIO(content)) as image:
        covered = cover_bystanders(np.array(image.convert("RGB")))
    packed = io.BytesIO()
    Image.fromarray(covered).save(packed, "JPEG", quality=90)
    return packed.getvalue()


def _thumbnail(content: bytes, width: int, height: int) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.thumbnail((width, height), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (width, height), (250, 250, 250))
    page.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return np.asarray(page)


def _counted(number: int) -> str:
    return f"{number} keyframe{'' if number == 1 else 's'}"


def draw_keyframes(
    clip: Clip, examination: Examination, *, columns: int = 4, folder: Path | None = None,
    unredacted: bool = False,
) -> Figure:  # fmt: skip
    """A contact sheet: every keyframe with its time, its frame number and why it was picked.

    Parameters
    ----------
    clip
        The clip examined.
    examination
        From `video.find_keyframes`.
    columns
        Pictures in a row.
    folder
        Where a ledger keeps the artefacts; the running process's own by default.
    unredacted
        Show faces and number plates; otherwise they are covered where they are found.

    Raises
    ------
    RecordInvalid
        No keyframes, or their pictures are not at hand.
    """
    from matplotlib.figure import Figure

    pairs = _pictures(examination)
    first = _size(artefact_bytes(pairs[0][1], folder=folder))
    columns = min(columns, len(pairs))
    rows = -(-len(pairs) // columns)
    shape = first[1] / first[0]
    figure = Figure(figsize=(3.1 * columns, rows * (3.0 * shape + 0.32) + 0.4),
                    layout="constrained")  # fmt: skip
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if number < len(pairs):
            key, artefact = pairs[number]
            content = _shown(artefact, folder, unredacted)
            axes.imshow(_thumbnail(content, 480, round(480 * shape)), aspect="equal")
            axes.set_title(_caption(key), fontsize=8, loc="left", pad=2)
    figure.suptitle(f"{plain(clip.name)}: {_counted(len(pairs))}", x=0.01, ha="left", fontsize=11,
                    fontweight="bold")  # fmt: skip
    covered = UNREDACTED if unredacted else say_what_is_covered()
    figure.supxlabel(f"{_why_picked(pairs)}\n{covered}", x=0.01, ha="left", fontsize=8)
    return figure


def _why_picked(pairs: Sequence[tuple[Keyframe, Artefact]]) -> str:
    """The reasons that stand over the pictures, in words."""
    named = {key.reason for key, _ in pairs}
    told = "; ".join(f"{reason}: {text}" for reason, text in _REASONS.items() if reason in named)
    return f"Why it was picked: {told}."


def _size(content: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return image.width, image.height


def write_keyframes(
    clip: Clip, examination: Examination, out: str | os.PathLike[str], *, archive: bool = False,
    folder: Path | None = None, unredacted: bool = False,
) -> Path:  # fmt: skip
    """Write the keyframes: a sheet as .png or .html, or the pictures and a table as .zip.

    Parameters
    ----------
    clip
        The clip examined.
    examination
        From `video.find_keyframes`.
    out
        The file to write; its suffix decides.
    archive
        Write a ZIP whatever the suffix says.
    folder
        Where a ledger keeps the artefacts.
    unredacted
        Show faces and number plates; otherwise they are covered where they are found. What was
        written says which.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        Another suffix.
    RecordInvalid
        No keyframes, or their pictures are not at hand.
    """
    place = Path(out)
    suffix = ".zip" if archive else place.suffix.lower()
    pairs = _pictures(examination)
    if suffix == ".png":
        figure = draw_keyframes(clip, examination, folder=folder, unredacted=unredacted)
        figure.savefig(place, dpi=110)
    elif suffix in (".html", ".htm"):
        place.write_text(_page(clip, pairs, folder, unredacted), encoding="utf-8")
    elif suffix == ".zip":
        with zipfile.ZipFile(place, "w") as packed:
            for key, artefact in pairs:
                packed.writestr(_name(key), _shown(artefact, folder, unredacted))
            packed.writestr("keyframes.csv", _table(clip, pairs))
            said = UNREDACTED if unredacted else say_what_is_covered()
            packed.writestr("redaction.txt", said + "\n")
    else:
        raise RecordInvalid(f"a sheet is .png, .html or .zip, not {suffix or 'nothing'}")
    return place


def _name(key: Keyframe) -> str:
    stamp = clock_text(key.pts).replace(":", "-")
    return f"{key.ordinal:07d}_{stamp}.jpg"


def _table(clip: Clip, pairs: Sequence[tuple[Keyframe, Artefact]]) -> str:
    lines = ["file,ordinal,pts_s,byte_position,pixel_sha256,reason,clip_sha256"]
    lines += [
        f"{_name(k)},{k.ordinal},{k.pts},{'' if k.byte_position is None else k.byte_position},"
        f"{k.pixel_hash},{k.reason},{clip.digest}"
        for k, _ in pairs
    ]
    return "\n".join(lines) + "\n"


_STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem;color:#222;background:#fafafa}
h1{font-size:1.25rem}.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr))}
figure{margin:0;background:#fff;border:1px solid #ddd;border-radius:4px;overflow:hidden}
img{width:100%;display:block}figcaption{padding:.5rem .7rem}b{font-variant-numeric:tabular-nums}
code{font-size:.72rem;color:#666;word-break:break-all}small{color:#555}"""


def _page(
    clip: Clip, pairs: Sequence[tuple[Keyframe, Artefact]], folder: Path | None, unredacted: bool
) -> str:
    figures = []
    for key, artefact in pairs:
        content = base64.b64encode(_shown(artefact, folder, unredacted)).decode("ascii")
        where = "" if key.byte_position is None else f" · byte {key.byte_position}"
        figures.append(
            f'<figure><img alt="frame {key.ordinal}" src="data:image/jpeg;base64,{content}">'
            f"<figcaption><b>{clock_text(key.pts)}</b> · frame {key.ordinal} · {key.reason}"
            f"<br><small>exact time {key.pts} s{where}</small>"
            f"<br><code>{key.pixel_hash}</code></figcaption></figure>"
        )
    name = html.escape(clip.name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_STYLE}</style><h1>{name}: {_counted(len(pairs))}</h1>"
        f"<p><small>clip SHA-256</small> <code>{clip.digest}</code><br>"
        "<small>Under each picture: the SHA-256 of its decoded pixels, as "
        "<code>ffmpeg -noautorotate -f framehash -hash sha256</code> prints it.</small></p>"
        f"<p>{_why_picked(pairs)}</p>"
        f"<p>{UNREDACTED if unredacted else say_what_is_covered()}</p>"
        f'<div class="grid">{"".join(figures)}</div></html>\n'
    )
