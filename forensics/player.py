"""Several clips on one clock, to look at: in a notebook, in one HTML file, or as one mosaic video.

Play, frame step, mute each, jump to an event. Everything works offline: the page carries small
proxies of the clips and asks nobody for anything. Proxies are derivatives for looking at;
findings are never made on them.
"""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.errors import ExtraMissing, PolicyError, RecordInvalid
from forensics.model import (
    Alignment,
    Clip,
    Examination,
    Flash,
    Placement,
    Progress,
    SoundEvent,
    Span,
    clock_text,
)
from forensics.player_proxy import Proxy, frames_at, make_proxy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["build_player", "show_player", "write_mosaic", "write_player"]


@dataclass(frozen=True)
class _Part:
    """One clip of the component shown; `shown` is the file whose pictures are used."""

    clip: Clip
    shown: Clip
    place: Placement

    @property
    def rate(self) -> float:
        return 1 + self.place.drift_ppm.value * 1e-6

    def incident_s(self, own_s: float) -> float:
        return self.place.offset.value + own_s * self.rate

    @property
    def half_s(self) -> float:
        low, high = self.place.offset.low, self.place.offset.high
        return 0.0 if low is None or high is None else (high - low) / 2

    @property
    def extent(self) -> tuple[float, float]:
        start = float(self.clip.container.start or 0)
        return start, start + float(self.clip.duration or 0)


def _parts(
    alignment: Alignment, clips: Sequence[Clip], component: int, redacted: Mapping[str, Clip] | None
) -> list[_Part]:
    known = {clip.digest: clip for clip in clips}
    group = [p for p in alignment.placements if p.component == component]
    lost = [p.clip[:12] for p in group if p.clip not in known]
    if lost or not group:
        raise RecordInvalid(
            f"clips of the alignment are not here: {', '.join(lost)}" if lost
            else f"the alignment has no component {component}: nothing was placed"
        )  # fmt: skip
    shown = redacted or {}
    parts = [_Part(known[p.clip], shown.get(p.clip, known[p.clip]), p) for p in group]
    return sorted(parts, key=lambda part: part.incident_s(part.extent[0]))


def _check_redaction(parts: Sequence[_Part], unredacted: bool) -> None:
    bare = [part.clip.name for part in parts if part.shown is part.clip and part.clip.video]
    if bare and not unredacted:
        raise PolicyError(
            f"the file would show unredacted pictures of {', '.join(bare)}",
            hint="give redacted copies (redact.write_redacted) as `redacted`, or pass "
            "unredacted=True if the file stays with the case",
        )


def _span_of(
    part: _Part, from_s: float | None, to_s: float | None
) -> tuple[float, float] | None:
    """The stretch of the clip's clock that is shown, None if none of it is."""
    first, last = part.extent
    low = first if from_s is None else max(first, (from_s - part.place.offset.value) / part.rate)
    high = last if to_s is None else min(last, (to_s - part.place.offset.value) / part.rate)
    return (low, high) if high > low else None


def build_player(
    alignment: Alignment, clips: Sequence[Clip], *, examinations: Sequence[Examination] = (),
    component: int = 0, from_s: float | None = None, to_s: float | None = None,
    height_px: int = 288, redacted: Mapping[str, Clip] | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], list[bytes]]:  # fmt: skip
    """What the player is given: a description in plain values, and one MP4 per clip.

    Parameters
    ----------
    alignment, clips
        What `audio.align_clips` returned, and the clips it was given.
    examinations
        Of `events`: impulses and flashes become places to jump to.
    component
        Which group of clips; each has its own clock.
    from_s, to_s
        Only this stretch of the incident clock.
    height_px
        Greatest height of the proxies, which take at most about 2 MB a minute each.
    redacted
        Redacted copies to show instead, by the digest of the original.
    progress
        Called with (fraction, text).

    Raises
    ------
    RecordInvalid
        Nothing was placed, a placed clip is missing, or none was recording in the stretch asked.
    """
    parts = _parts(alignment, clips, component, redacted)
    rows: list[dict[str, Any]] = []
    media: list[bytes] = []
    ends: list[float] = []
    for number, part in enumerate(parts):
        span = _span_of(part, from_s, to_s)
        if span is None:
            continue
        if progress is not None:
            progress(number / len(parts), f"making a proxy of {part.clip.name}")
        proxy: Proxy = make_proxy(part.shown, height_px=height_px, span=Span.of(*span))
        place = part.place
        rows.append({
            "name": part.clip.name, "digest": part.clip.digest, "offset": place.offset.value,
            "rate": part.rate, "start": proxy.start_s, "length": span[1] - proxy.start_s,
            "frames": list(proxy.frames_s),
            "told": f"{place.basis}, offset {place.offset.value:+.3f} ± {part.half_s:.3f} s",
        })  # fmt: skip
        media.append(proxy.data)
        ends += [part.incident_s(span[0]), part.incident_s(span[1])]
    if not rows:
        raise RecordInvalid("no clip was recording in the stretch asked for")
    low, high = min(ends), max(ends)
    jumps = [e for e in _events(alignment, examinations, parts) if low <= e["time_s"] <= high]
    return {"clips": rows, "events": jumps, "from_s": low, "to_s": high}, media


def _events(
    alignment: Alignment, examinations: Sequence[Examination], parts: Sequence[_Part]
) -> list[dict[str, Any]]:
    names = {part.clip.digest: part.clip.name for part in parts}
    found = []
    for exam in examinations:
        digest = exam.origin.inputs[0] if exam.origin.inputs else ""
        for seen in exam.observations:
            what = seen.what
            if digest not in names or not isinstance(what, SoundEvent | Flash):
                continue
            at = alignment.on_component_clock(digest, Span(what.time, what.time))
            label = what.label if isinstance(what, SoundEvent) else "flash"
            if at is not None:
                found.append({"time_s": at.start, "label": f"{label} ({names[digest]})"})
    return sorted(found, key=lambda event: event["time_s"])


def _script() -> str:
    return resources.files("forensics").joinpath("data/player.js").read_text("utf-8")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
media-src blob:; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>{title}</title></head>
<body><h1>{title}</h1>
<p>Proxies for looking at; findings are made on the originals, named below by SHA-256.
Space plays, comma and full stop step one frame of the clip that is outlined.</p>
<div id="player"></div>
<ul>{digests}</ul>
<script type="application/json" id="data">{data}</script>
<script type="module">
{script}
const data = JSON.parse(document.getElementById("data").textContent);
data.clips = data.clips.map((c) => ({{ ...c, media: bytesOf(c.media) }}));
window.player = mount(document.getElementById("player"), data);
</script></body></html>
"""


def write_player(
    alignment: Alignment, clips: Sequence[Clip], out: str | os.PathLike[str], *,
    examinations: Sequence[Examination] = (), component: int = 0, from_s: float | None = None,
    to_s: float | None = None, height_px: int = 288, title: str = "Clips on one clock",
    redacted: Mapping[str, Clip] | None = None, unredacted: bool = False,
    progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Write the player as one HTML file that works offline and asks nobody for anything.

    Parameters
    ----------
    alignment, clips, examinations, component, from_s, to_s, height_px, redacted, progress
        As for `build_player`.
    out
        The file to write; it must not exist.
    title
        Heading of the page.
    unredacted
        Say so if original pictures may leave in this file.

    Raises
    ------
    PolicyError
        Original pictures would be shown and `unredacted` was not given.
    RecordInvalid
        As for `build_player`.
    FileExistsError
        `out` exists.
    """
    _check_redaction(_parts(alignment, clips, component, redacted), unredacted)
    data, media = build_player(
        alignment, clips, examinations=examinations, component=component, from_s=from_s,
        to_s=to_s, height_px=height_px, redacted=redacted, progress=progress,
    )  # fmt: skip
    for row, content in zip(data["clips"], media, strict=True):
        row["media"] = base64.b64encode(content).decode("ascii")
    # A clip's name comes from evidence: inside a script element "<" could end it.
    text = json.dumps(data).replace("<", "\\u003c")
    digests = "".join(
        f"<li>{html.escape(row['name'])}: <code>{row['digest']}</code></li>"
        for row in data["clips"]
    )
    # Inside a page the script is no module of its own: nothing is exported.
    script = _script().replace("export default { render };", "")
    script = script.replace("export function", "function")
    page = _PAGE.format(title=html.escape(title), digests=digests, data=text, script=script)
    place = Path(out)
    with place.open("x", encoding="utf-8") as file:
        file.write(page)
    return place


def show_player(
    alignment: Alignment, clips: Sequence[Clip], *, examinations: Sequence[Examination] = (),
    component: int = 0, from_s: float | None = None, to_s: float | None = None,
    height_px: int = 288, redacted: Mapping[str, Clip] | None = None,
    progress: Progress | None = None,
) -> Any:  # fmt: skip
    """The player as a notebook widget (extra `notebook`); parameters as for `build_player`.

    The pictures travel to the browser with the notebook's own connection. Save the notebook
    without widget state if they must not leave the case.

    Raises
    ------
    ExtraMissing
        anywidget is not installed.
    RecordInvalid
        As for `build_player`.
    """
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ExtraMissing("the player needs anywidget", extra="notebook") from error
    data, media = build_player(
        alignment, clips, examinations=examinations, component=component, from_s=from_s,
        to_s=to_s, height_px=height_px, redacted=redacted, progress=progress,
    )  # fmt: skip
    widget = type(
        "Player", (anywidget.AnyWidget,),
        {"_esm": _script(), "data": traitlets.Dict({}).tag(sync=True),
         "media": traitlets.List([]).tag(sync=True)},
    )  # fmt: skip
    return widget(data=data, media=media)


# -- mosaic -----------------------------------------------------------------------------------


def write_mosaic(
    alignment: Alignment, clips: Sequence[Clip], out: str | os.PathLike[str], *,
    component: int = 0, from_s: float | None = None, to_s: float | None = None,
    width_px: int = 480, rate_hz: float = 25.0, redacted: Mapping[str, Clip] | None = None,
    unredacted: bool = False, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Write every camera side by side as one video, with the incident time burned in.

    Parameters
    ----------
    alignment, clips, component, from_s, to_s, redacted, progress
        As for `build_player`.
    out
        The file to write, .mp4 or .mkv; it must not exist. It has no sound: which clip's sound
        belongs to which moment is for the player, where each can be muted.
    width_px
        Width of one camera's field.
    rate_hz
        Pictures a second.
    unredacted
        Say so if original pictures may leave in this file.

    Raises
    ------
    PolicyError, RecordInvalid, FileExistsError
        As for `write_player`.
    ClipUnreadable, ClipChanged
        A clip fails.
    """
    import av

    place = Path(out)
    parts = [p for p in _parts(alignment, clips, component, redacted) if p.clip.video is not None]
    if not parts:
        raise RecordInvalid("none of the placed clips has pictures")
    _check_redaction(parts, unredacted)
    if place.exists():
        raise FileExistsError(f"{place} exists")
    low = min(p.incident_s(p.extent[0]) for p in parts) if from_s is None else from_s
    high = max(p.incident_s(p.extent[1]) for p in parts) if to_s is None else to_s
    count = int((high - low) * rate_hz) + 1
    if count < 1:
        raise RecordInvalid("the stretch asked for ends before it starts")
    columns = 1 if len(parts) == 1 else 2 if len(parts) <= 4 else 3
    field = (width_px // 2 * 2, width_px * 9 // 16 // 2 * 2)
    lines = -(-len(parts) // columns)
    rate = Fraction(rate_hz).limit_denominator(1001)
    with av.open(str(place), "w") as box:
        stream: Any = box.add_stream("libx264", rate=rate, options={"crf": "23"})
        stream.width, stream.height = field[0] * columns, (field[1] + 24) * lines + 24
        stream.pix_fmt = "yuv420p"
        frames = _mosaic(parts, low, count, rate_hz, columns, lines, field)
        for number, canvas in enumerate(frames):
            if progress is not None and number % 25 == 0:
                progress(number / count, "writing the mosaic")
            frame = av.VideoFrame.from_ndarray(canvas, format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            box.mux(stream.encode(frame))
        box.mux(stream.encode(None))
    return place


def _mosaic(
    parts: Sequence[_Part], low: float, count: int, rate_hz: float, columns: int, lines: int,
    field: tuple[int, int],
) -> Iterator[NDArray[np.uint8]]:  # fmt: skip
    import cv2
    import numpy as np

    wide, tall = field
    times = [low + n / rate_hz for n in range(count)]
    sources = [
        frames_at(p.shown, [(t - p.place.offset.value) / p.rate for t in times]) for p in parts
    ]
    names = [_label(f"{p.clip.name}  ±{p.half_s:.3f} s", wide) for p in parts]
    absent = _label("not recording at this time", wide)
    for number, pictures in enumerate(zip(*sources, strict=True)):
        canvas = np.full(((tall + 24) * lines + 24, wide * columns, 3), 24, np.uint8)
        told = f"incident {clock_text(times[number])}"
        canvas[:24] = _label(told, wide * columns)
        for k, picture in enumerate(pictures):
            top, left = 24 + (k // columns) * (tall + 24), (k % columns) * wide
            canvas[top : top + 24, left : left + wide] = names[k]
            if picture is None:
                middle = top + 24 + tall // 2
                canvas[middle : middle + 24, left : left + wide] = absent
                continue
            height, width = picture.rgb.shape[:2]
            scale = min(wide / width, tall / height)
            size = (max(1, int(width * scale)), max(1, int(height * scale)))
            small = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
            y, x = top + 24 + (tall - size[1]) // 2, left + (wide - size[0]) // 2
            canvas[y : y + size[1], x : x + size[0]] = small
        yield canvas


def _label(text: str, width: int) -> NDArray[np.uint8]:
    # OpenCV draws Cyrillic as question marks; Pillow's own font does not.
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    strip = Image.new("RGB", (width, 24), (24, 24, 24))
    ImageDraw.Draw(strip).text((6, 4), text, fill=(235, 235, 235), font=ImageFont.load_default(14))
    return np.asarray(strip, np.uint8)
