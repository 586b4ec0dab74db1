"""Draw what was found in one clip: the strip with every level on one axis, and keyframe sheets."""

from __future__ import annotations

import base64
import html
import io
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.edits_merge import LEVELS
from forensics.errors import ForensicsError, RecordInvalid
from forensics.model import Artefact, Clip, Discontinuity, Examination, Keyframe, clock_text
from forensics.plots_cover import UNREDACTED, cover_bystanders, say_what_is_covered
from forensics.plots_sound import draw_spectrogram, one_trace
from forensics.provenance import artefact_bytes
from forensics.scan import read_pictures
from forensics.video import measure_frames

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_edits", "draw_keyframes", "draw_strip", "write_keyframes"]

#: Heights at which findings are named in their row, in turn.
_HEIGHTS = (0.2, -0.05, -0.3)

_COLOURS = {"inconsistent": "#b3261e", "inconclusive": "#b8860b", "consistent": "#3a6b35"}
_WORDS = {"inconsistent": "inconsistent with an original", "inconclusive": "inconclusive",
          "consistent": "consistent with an original"}  # fmt: skip


def draw_strip(
    clip: Clip, axes: Axes, *, count: int = 9, unredacted: bool = False
) -> None:
    """A strip of pictures along the time axis, upright, each from the middle of its stretch.

    Parameters
    ----------
    clip
        An opened clip.
    axes
        Where to draw; its x axis is seconds of the clip.
    count
        Number of pictures.
    unredacted
        Show faces; otherwise they are covered where they are found.
    """
    import numpy as np
    from PIL import Image

    measured = measure_frames(clip)
    times = measured.seconds
    # One picture lasts no time between stamps.
    last = max(float(times[-1]), float(times[0]) + 0.1)
    edges = np.linspace(float(times[0]), last, count + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    rows = np.minimum(np.searchsorted(times, middles), len(times) - 1)
    pictures = read_pictures(clip, [(int(r), int(measured.pts[r])) for r in rows])
    for low, high, picture in zip(edges, edges[1:], pictures, strict=False):
        # At this size no plate can be read.
        shown = picture.rgb if unredacted else cover_bystanders(picture.rgb, plates=False)
        image = Image.fromarray(shown)
        image.thumbnail((320, 320), Image.Resampling.LANCZOS)
        gap = 0.01 * (high - low)
        axes.imshow(np.asarray(image), extent=(low + gap, high - gap, 0, 1), aspect="auto")
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(bottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)


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
        Three rows on one time axis: thumbnails; change from picture to picture (of sound alone a
        spectrogram instead of both); the findings by level, red where inconsistent with an
        original, ochre where inconclusive. Grey hatching: not testable there, by which level; a
        narrow strip: one of its traces is not, and which.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    seen = [o for o in examination.observations if isinstance(o.what, Discontinuity)]
    levels = _levels_of(seen, examination)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(12, 3.6 + 0.42 * len(levels)), layout="constrained")
        heard = clip.video is None and clip.audio is not None
        *shown, table = figure.subplots(
            2 if heard else 3, 1, sharex=True,
            height_ratios=[*([1.95] if heard else [1.15, 0.8]), 0.42 * len(levels) + 0.3],
        )  # fmt: skip
        span = examination.coverage.span
        try:
            if heard:
                draw_spectrogram(clip, shown[0])
            else:
                draw_strip(clip, shown[0])
                _draw_motion(clip, shown[1])
        except ForensicsError as error:
            for axes in shown:
                axes.text(0.5, 0.5, error.message, transform=axes.transAxes, ha="center")
                axes.set_yticks([])
        _draw_levels(table, seen, levels, examination)
        if span is not None:
            table.set_xlim(float(span.start), max(float(span.end), float(span.start) + 0.1))
        table.xaxis.set_major_formatter(lambda x, _: clock_text(x)[:-4] if x >= 0 else "")
        table.set_xlabel("time in the clip")
        found = sum(
            isinstance(o.what, Discontinuity) and o.what.verdict == "inconsistent" for o in seen
        )
        figure.suptitle(
            f"{clip.name}: {len(seen)} finding{'s' if len(seen) != 1 else ''}, "
            f"{found} inconsistent with an original"
            if seen else f"{clip.name}: {examination.outcome.replace('-', ' ')}",
            x=0.01, ha="left", fontsize=11, fontweight="bold",
        )  # fmt: skip
    return figure


def _levels_of(seen: Sequence[Any], examination: Examination) -> list[str]:
    """The levels that were asked or have something to show, in the order of the floors."""
    named = {o.what.level for o in seen}
    # Each level's own examination is kept beside the merged one, whatever it found.
    kept = re.compile(r"examination of the (\w+) level")
    named |= {m[1] for a in examination.artefacts if (m := kept.fullmatch(a.label or ""))}
    named |= {s.split(":")[0] for o in seen for s in o.what.supports}
    named |= {n.reason.split(":")[0] for n in examination.coverage.not_testable}
    return [level for level in LEVELS if level in named] or ["frame"]


def _draw_motion(clip: Clip, axes: Axes) -> None:
    import numpy as np

    measured = measure_frames(clip)
    values = np.array(measured.columns["peak"])
    values[0] = 0
    axes.fill_between(measured.seconds, values, step="mid", color="#4a6fa5", linewidth=0)
    axes.set_ylabel("change\n(grey levels)")
    axes.set_ylim(0, max(5.0, float(values.max()) * 1.1))


def _draw_levels(
    axes: Axes, seen: Sequence[Any], levels: list[str], examination: Examination
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = {level: len(levels) - 1 - n for n, level in enumerate(levels)}
    silent = set(levels) - {o.what.level for o in seen}
    silent -= {s.split(":")[0] for o in seen for s in o.what.supports}
    whole = examination.coverage.span
    traces: dict[str, list[str]] = {}
    for part in examination.coverage.not_testable:
        level, _, reason = part.reason.partition(": ")
        if level not in rows:
            level, reason = "frame", part.reason
        row = rows.get(level)
        if row is None:
            continue
        low, wide = float(part.span.start), float(part.span.length)
        # Where one trace is missing the level was looked at all the same: a narrow strip.
        trace = one_trace(reason)
        if trace:
            known = traces.setdefault(level, [])
            known += [trace] if trace not in known else []
        elif whole is not None and wide > 0.98 * float(whole.length):
            silent.discard(level)
        axes.barh(
            row if not trace else row - 0.36, wide, left=low, height=0.18 if trace else 0.9,
            color="#e6e6e6", edgecolor="#bdbdbd", hatch="////", linewidth=0, zorder=1,
        )  # fmt: skip
    for level, known in traces.items():
        axes.annotate(
            f"{', '.join(known)}: not testable here", (1, rows[level] - 0.36),
            xycoords=axes.get_yaxis_transform(), xytext=(-3, 0), textcoords="offset points",
            ha="right", va="center", fontsize=6, color="#555555", zorder=4,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.8, "alpha": 0.85},
        )  # fmt: skip
    length = float(whole.length) if whole is not None else 0.0
    written: dict[int, tuple[float, int]] = {}
    for number, observation in enumerate(seen):
        if observation.span is None:
            continue
        said = observation.what
        colour = _COLOURS[said.verdict]
        named = {s.split(":")[0] for s in said.supports} | {said.level}
        low, high = float(observation.span.start), float(observation.span.end)
        if whole is not None and high - low > 0.98 * float(whole.length):
            # A fact about the whole file is a line, not a wall.
            row = rows.get(said.level, 0)
            axes.plot([low, high], [row - 0.2, row - 0.2], color=colour, linewidth=2, zorder=3)
            axes.annotate(f" {number + 1} {said.kind} (whole file)", (low, row - 0.12),
                          fontsize=7.5, color=colour, zorder=4)  # fmt: skip
            continue
        for level in named & set(rows):
            axes.barh(
                rows[level], max(high - low, 0), left=low, height=0.55, color=colour, alpha=0.55,
                zorder=2, linewidth=0,
            )  # fmt: skip
            axes.plot([low, low], [rows[level] - 0.32, rows[level] + 0.32], color=colour,
                      linewidth=2, zorder=3)  # fmt: skip
        row = max(rows[n] for n in named & set(rows))
        # Names that would lie on each other take turns in height.
        before, turn = written.get(row, (-1e9, 0))
        turn = (turn + 1) % len(_HEIGHTS) if low - before < 0.1 * length else 0
        written[row] = low, turn
        axes.annotate(
            f" {number + 1} {said.kind}", (low, row + _HEIGHTS[turn]),
            fontsize=7.5, color=colour, rotation=0, annotation_clip=True, zorder=4,
        )  # fmt: skip
    for level in silent:
        axes.annotate(
            "nothing found" if examination.outcome in ("found", "nothing-found")
            else examination.outcome.replace("-", " "),
            (0, rows[level]), xycoords=axes.get_yaxis_transform(), xytext=(5, 0),
            textcoords="offset points", va="center", fontsize=7.5, color="#555555", zorder=4,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 1.5},
        )  # fmt: skip
    axes.set_yticks([rows[level] for level in levels], levels)
    axes.set_ylim(-0.6, len(levels) - 0.2)
    handles = [
        Line2D([], [], color=_COLOURS[v], linewidth=4, label=_WORDS[v])
        for v in ("inconsistent", "inconclusive", "consistent")
        if v != "consistent" or any(o.what.verdict == v for o in seen)
    ]
    blind = Patch(facecolor="#e6e6e6", edgecolor="#bdbdbd", hatch="////", label="not testable here")
    axes.figure.legend(
        handles=[*handles, blind], loc="outside lower center", ncols=4, frameon=False, fontsize=8,
    )  # fmt: skip


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
    figure.suptitle(f"{clip.name}: {_counted(len(pairs))}", x=0.01, ha="left", fontsize=11,
                    fontweight="bold")  # fmt: skip
    figure.supxlabel(UNREDACTED if unredacted else say_what_is_covered(), x=0.01, ha="left",
                     fontsize=8)  # fmt: skip
    return figure


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
        f"<p>{UNREDACTED if unredacted else say_what_is_covered()}</p>"
        f'<div class="grid">{"".join(figures)}</div></html>\n'
    )
