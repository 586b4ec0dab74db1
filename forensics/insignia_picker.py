"""A notebook widget to step through frames and draw boxes: the examiner's own input.

Works offline: the script is in the widget, pictures travel as PNG through the kernel. What was
drawn comes back as `MarkedBox`es for `find_markings` and `find_vehicles`, in pixels of the
upright frame, with the frame's ordinal and exact time.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, get_args

from forensics.detector_frames import MarkedBox, png_bytes
from forensics.errors import ExtraMissing, RecordInvalid
from forensics.model import Box, Clip, SightingKind, clock_text
from forensics.scan import Picture, iter_pictures, read_pictures, video_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BoxPicker", "boxes_from_drawn", "open_picker"]

KINDS: tuple[str, ...] = get_args(SightingKind)

_SCRIPT = """
function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "forensics-picker";
  const bar = document.createElement("div");
  bar.className = "bar";
  const make = (text, title, act) => {
    const b = document.createElement("button");
    b.textContent = text; b.title = title; b.onclick = act; bar.appendChild(b); return b;
  };
  const step = (by) => {
    const at = model.get("at") + by;
    if (at >= 0 && at < model.get("count")) { model.set("at", at); model.save_changes(); }
  };
  make("\\u25c0", "previous frame (left arrow)", () => step(-1));
  make("\\u25b6", "next frame (right arrow)", () => step(1));
  const where = document.createElement("span");
  bar.appendChild(where);
  const kind = document.createElement("select");
  kind.setAttribute("aria-label", "what is in the box");
  for (const name of model.get("kinds")) {
    const o = document.createElement("option"); o.value = o.textContent = name; kind.appendChild(o);
  }
  kind.value = model.get("kind");
  kind.onchange = () => { model.set("kind", kind.value); model.save_changes(); };
  bar.appendChild(kind);
  const note = document.createElement("input");
  note.placeholder = "note"; note.setAttribute("aria-label", "note for the next box");
  bar.appendChild(note);
  const undo = () => {
    const drawn = model.get("drawn").slice(0, -1);
    model.set("drawn", drawn); model.save_changes();
  };
  make("undo", "take back the last box (u)", undo);
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  const list = document.createElement("ol");
  root.append(bar, canvas, list);
  el.appendChild(root);
  const ink = canvas.getContext("2d");
  let picture = null, from = null, to = null;
  const paint = () => {
    if (!picture) return;
    ink.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const zoom = canvas.width / model.get("size")[0];
    ink.lineWidth = 2; ink.font = "12px sans-serif";
    model.get("drawn").forEach((d, i) => {
      if (d.at !== model.get("at")) return;
      ink.strokeStyle = "#ffb000";
      ink.strokeRect(d.x * zoom, d.y * zoom, d.width * zoom, d.height * zoom);
      ink.fillStyle = "#ffb000";
      ink.fillText((i + 1) + " " + d.kind, d.x * zoom, Math.max(12, d.y * zoom - 4));
    });
    if (from && to) {
      ink.strokeStyle = "#00d0ff";
      ink.strokeRect(from[0], from[1], to[0] - from[0], to[1] - from[1]);
      const w = Math.abs(to[0] - from[0]) / zoom, h = Math.abs(to[1] - from[1]) / zoom;
      ink.fillStyle = "#00d0ff";
      ink.fillText(Math.round(w) + " x " + Math.round(h) + " px", to[0] + 6, to[1]);
    }
  };
  const show = () => {
    const bytes = model.get("png");
    where.textContent = " " + model.get("caption") + " ";
    const image = new Image();
    image.onload = () => {
      const wide = Math.min(model.get("size")[0], model.get("shown_px"));
      canvas.width = wide;
      canvas.height = Math.round(wide * model.get("size")[1] / model.get("size")[0]);
      picture = image; paint(); URL.revokeObjectURL(image.src);
    };
    image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  };
  const lines = () => {
    list.replaceChildren(...model.get("drawn").map((d) => {
      const li = document.createElement("li");
      li.textContent = d.kind + " " + Math.round(d.width) + " x " + Math.round(d.height)
        + " px, frame " + d.ordinal + (d.note ? ": " + d.note : "");
      return li;
    }));
    paint();
  };
  const spot = (e) => {
    const r = canvas.getBoundingClientRect();
    const clamp = (v, top) => Math.max(0, Math.min(top, v));
    return [clamp((e.clientX - r.left) * canvas.width / r.width, canvas.width),
            clamp((e.clientY - r.top) * canvas.height / r.height, canvas.height)];
  };
  canvas.onpointerdown = (e) => { canvas.setPointerCapture(e.pointerId); from = to = spot(e); };
  canvas.onpointermove = (e) => { if (from) { to = spot(e); paint(); } };
  canvas.onpointerup = () => {
    if (!from || !to) return;
    const zoom = canvas.width / model.get("size")[0];
    const x = Math.min(from[0], to[0]) / zoom, y = Math.min(from[1], to[1]) / zoom;
    const width = Math.abs(to[0] - from[0]) / zoom, height = Math.abs(to[1] - from[1]) / zoom;
    from = to = null;
    if (width >= 3 && height >= 3) {
      const d = { at: model.get("at"), ordinal: model.get("ordinal"), pts: model.get("pts"),
                  x, y, width, height, kind: model.get("kind"), note: note.value };
      model.set("drawn", [...model.get("drawn"), d]); model.save_changes();
      note.value = "";
    } else paint();
  };
  canvas.onkeydown = (e) => {
    if (e.key === "ArrowLeft") step(-1);
    else if (e.key === "ArrowRight") step(1);
    else if (e.key === "u") undo();
    else return;
    e.preventDefault(); e.stopPropagation();
  };
  model.on("change:png", show);
  model.on("change:drawn", lines);
  show(); lines();
}
export default { render };
"""

_STYLE = """
.forensics-picker .bar { display: flex; gap: 6px; align-items: center; margin-bottom: 4px; }
.forensics-picker canvas { max-width: 100%; cursor: crosshair; outline-offset: 2px; }
.forensics-picker ol { font: 12px sans-serif; max-height: 9em; overflow: auto; }
"""


def boxes_from_drawn(
    drawn: Sequence[dict[str, Any]], *, examiner: str
) -> tuple[MarkedBox, ...]:  # fmt: skip
    """What the widget holds, as `MarkedBox`es; checked, because it comes from a browser.

    Raises
    ------
    RecordInvalid
        A kind, frame or box that cannot be.

    When it errs
    ------------
    It checks form only: a box around the wrong thing is the examiner's (ASTM E3016: inaccuracy,
    association).
    """
    boxes = []
    for row in drawn:
        if row.get("kind") not in KINDS:
            raise RecordInvalid(f"{row.get('kind')!r} is no kind of marking")
        try:
            boxes.append(
                MarkedBox(
                    ordinal=int(row["ordinal"]), pts=Fraction(str(row["pts"])),
                    box=Box(*(round(float(row[k]), 2) for k in ("x", "y", "width", "height"))),
                    kind=row["kind"], examiner=examiner, note=str(row.get("note", "")),
                )
            )  # fmt: skip
        except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
            raise RecordInvalid(f"not a drawn box: {error}") from error
    return tuple(boxes)


class BoxPicker:
    """The widget and what was drawn in it: show it in a notebook, then read `boxes`."""

    def __init__(
        self, clip: Clip, frames: Sequence[tuple[int, Fraction]], *, examiner: str,
        shown_px: int = 960,
    ) -> None:  # fmt: skip
        try:
            import anywidget
            import traitlets
        except ImportError:
            raise ExtraMissing("the picker is a notebook widget", extra="notebook") from None

        class Widget(anywidget.AnyWidget):  # type: ignore[misc, unused-ignore]
            _esm = _SCRIPT
            _css = _STYLE
            at = traitlets.Int(0).tag(sync=True)
            count = traitlets.Int(0).tag(sync=True)
            ordinal = traitlets.Int(0).tag(sync=True)
            pts = traitlets.Unicode("0").tag(sync=True)
            caption = traitlets.Unicode("").tag(sync=True)
            png = traitlets.Bytes(b"").tag(sync=True)
            size = traitlets.List([1, 1]).tag(sync=True)
            shown_px = traitlets.Int(960).tag(sync=True)
            kinds: Any = traitlets.List([]).tag(sync=True)
            kind = traitlets.Unicode("patch").tag(sync=True)
            drawn: Any = traitlets.List([]).tag(sync=True)

        if not frames:
            raise RecordInvalid("a picker needs at least one frame")
        if not examiner.strip():
            raise RecordInvalid("a box drawn by hand names who drew it")
        self.clip = clip
        self.examiner = examiner
        self.frames = tuple(frames)
        self.widget = Widget(
            count=len(self.frames), kinds=list(KINDS), shown_px=shown_px
        )  # fmt: skip
        self._show(0)
        self.widget.observe(lambda change: self._show(int(change["new"])), names="at")

    def _picture(self, at: int) -> Picture:
        ordinal, pts = self.frames[at]
        ticks = round(pts / video_stream(self.clip).time_base)
        return read_pictures(self.clip, [(ordinal, ticks)])[0]

    def _show(self, at: int) -> None:
        picture = self._picture(at)
        height, width = picture.rgb.shape[:2]
        said = f"{at + 1} of {len(self.frames)}: frame {picture.ordinal}, "
        with self.widget.hold_sync():
            self.widget.ordinal = picture.ordinal
            self.widget.pts = str(picture.pts)
            self.widget.caption = said + clock_text(picture.pts)
            self.widget.size = [width, height]
            self.widget.png = png_bytes(_shrunk(picture.rgb, self.widget.shown_px))

    @property
    def boxes(self) -> tuple[MarkedBox, ...]:
        """What has been drawn so far."""
        return boxes_from_drawn(self.widget.drawn, examiner=self.examiner)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)


def _shrunk(rgb: NDArray[np.uint8], longest_px: int) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    factor = longest_px / rgb.shape[1]
    if factor >= 1:
        return rgb
    small: Any = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small)


def open_picker(
    clip: Clip, *, examiner: str, frames: Sequence[tuple[int, Fraction]] = (), every_s: float = 1.0,
    shown_px: int = 960,
) -> BoxPicker:  # fmt: skip
    """Open the picker on some frames of a clip: step, draw, label, undo.

    Parameters
    ----------
    clip
        An opened clip.
    examiner
        Who draws; stands in every box.
    frames
        (ordinal, exact seconds), as keyframes have them; one every `every_s` seconds by default.
    every_s
        Seconds between frames when none is named.
    shown_px
        Width of the picture in the notebook. Boxes are kept in pixels of the frame itself.

    Raises
    ------
    ExtraMissing
        `anywidget` is not installed (extra `notebook`).

    When it errs
    ------------
    A picture wider than `shown_px` is shown reduced: a box is then exact to about one pixel of
    what was shown, not of the frame (ASTM E3016: inaccuracy, alteration).
    """
    chosen = list(frames)
    if not chosen:
        chosen = [(p.ordinal, p.pts) for p in iter_pictures(clip, every_s=every_s)]
    return BoxPicker(clip, chosen, examiner=examiner, shown_px=shown_px)
