"""Markings and vehicles drawn: similarities and differences side by side, contact sheets.

Drawn to be argued with: the crop, the reference brought to the same sharpness, where they agree
and where they do not, with the figures the verdict rests on.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forensics.gallery import Gallery
from forensics.gallery_match import align, prepare_query, rank
from forensics.model import (
    Examination,
    Observation,
    Sighting,
    VehicleSighting,
    clock_text,
)
from forensics.plots_cover import UNREDACTED, cover_bystanders, say_what_is_covered
from forensics.provenance import artefact_bytes

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_comparison", "draw_contact_sheet", "draw_palette"]

_AGREES, _DIFFERS = "#1b7f4b", "#c2410c"


def draw_comparison(
    image: NDArray[np.uint8], gallery: Gallery, *, entry: str, size_px: float | None = None
) -> Figure:
    """A crop beside a reference: matched details, where the drawing agrees, where it differs.

    Parameters
    ----------
    image
        The crop, (H, W, 3) uint8 RGB.
    gallery, entry
        The gallery, and the unit to compare with.
    size_px
        Longer side in the frame, if `image` was enlarged.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    references = gallery.references(entry)
    query = prepare_query(image, size_px=size_px)
    best = rank(
        query,
        [(str(i), ref) for i, ref in enumerate(references)],
        keep=len(references),
        finish=len(references),
    )
    number, seen = best[0]
    reference = references[int(number)]
    figure = Figure(figsize=(10.5, 3.4), layout="constrained")
    axes = figure.subplots(1, 4)
    axes[0].imshow(image)
    axes[0].set_title(f"as seen, {max(image.shape[:2]) if size_px is None else size_px:.0f} px")
    axes[1].imshow(reference.picture)
    axes[1].set_title(f"reference: {gallery[entry].name}", fontsize=9)
    aligned = None
    if seen.homography:
        to_canvas = np.diag([query.scale, query.scale, 1.0])
        homography = to_canvas @ np.array(seen.homography).reshape(3, 3)
        aligned = align(query, reference, homography)
    if aligned is None:
        for ax, text in zip(axes[2:], ("could not be aligned", ""), strict=True):
            ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes)
    else:
        shades = LinearSegmentedColormap.from_list("agree", [_DIFFERS, "#f4f1ea", _AGREES])
        inside = aligned.inside
        low, high = np.percentile(aligned.crop[inside], (1, 99))
        axes[2].imshow(np.where(inside, aligned.crop, high), cmap="gray", vmin=low, vmax=high)
        axes[2].set_title("aligned to the reference", fontsize=9)
        drawn = np.where(aligned.weight > 0, aligned.local, np.nan)
        axes[3].imshow(np.where(inside, aligned.drawn, np.nan), cmap="gray", alpha=0.35)
        axes[3].imshow(drawn, cmap=shades, vmin=-1, vmax=1, alpha=0.85)
        axes[3].set_title("green agrees, orange differs", fontsize=9)
    for ax in axes:
        ax.set_axis_off()
    figure.suptitle(
        f"{seen.inliers} details in one geometry over {seen.coverage:.0%} of the emblem; "
        f"{seen.agreement:.0%} of the drawing agrees; grey correlation {seen.correlation:+.2f}",
        fontsize=9,
    )
    return figure


def _picture(observation: Observation) -> Any:
    import numpy as np
    from PIL import Image

    shown = next((a for a in observation.artefacts if a.media_type == "image/png"), None)
    if shown is None:
        return np.full((40, 60, 3), 230, np.uint8)
    return np.array(Image.open(io.BytesIO(artefact_bytes(shown))).convert("RGB"))


def _caption(observation: Observation) -> str:
    said = observation.what
    lines = []
    if isinstance(said, Sighting):
        lines.append(said.kind + (f" “{said.text}”" if said.text else ""))
        if said.observed_absence:
            lines.append(said.observed_absence.replace("-", " "))
        elif said.candidates:
            lines.append(f"{said.verdict}: {said.candidates[0].entry}")
        else:
            lines.append(said.verdict)
        lines.append(f"{max(said.box.width, said.box.height):.0f} px at {clock_text(said.pts)}")
    elif isinstance(said, VehicleSighting):
        colours = " or ".join(c.entry for c in said.colours) or "colour not named"
        lines += [said.vehicle_type, colours]
        if said.plate is not None:
            lines.append(f"plate {said.plate.verdict}")
        lines.append(f"{said.box.width:.0f} px at {clock_text(said.pts)}")
    return "\n".join(lines)


def draw_contact_sheet(
    examinations: Sequence[Examination] | Examination, *, columns: int = 5, grey: bool = False,
    cover: bool = True, limit: int = 60,
) -> Figure:  # fmt: skip
    """Every sighting of one or more examinations as a small picture with what is said about it.

    Parameters
    ----------
    examinations
        Of `find_markings` or `find_vehicles`.
    columns
        Pictures in a row.
    grey
        Grey pictures: some material is easier to look through that way.
    cover
        Cover faces and plates, and coarsen everything around a marking's own box; False shows the
        crops as they are, and the sheet says so.
    limit
        Most pictures drawn.
    """
    from matplotlib.figure import Figure

    exams = [examinations] if isinstance(examinations, Examination) else list(examinations)
    seen = [
        o for exam in exams for o in exam.observations
        if isinstance(o.what, Sighting | VehicleSighting)
    ][:limit]  # fmt: skip
    rows = max(1, -(-len(seen) // columns))
    figure = Figure(figsize=(2.1 * columns, 2.5 * rows + 0.3), layout="constrained")
    figure.supxlabel(say_what_is_covered() if cover else UNREDACTED, fontsize=7)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    if not seen:
        said = "; ".join(exam.outcome.replace("-", " ") for exam in exams)
        axes[0].text(0, 0.5, said or "nothing to draw", transform=axes[0].transAxes)
    for ax, observation in zip(axes, seen, strict=False):
        picture = _picture(observation)
        if cover:
            picture = _covered(picture, observation)
        if grey:
            picture = picture.mean(axis=2)
        ax.imshow(picture, cmap="gray" if grey else None)
        ax.set_title(_caption(observation), fontsize=7, loc="left")
    return figure


def _covered(picture: Any, observation: Observation) -> Any:
    """Mosaic over what the sighting is not about: plates, and the rim around a marking."""
    import cv2
    import numpy as np

    said = observation.what
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (max(1, width // 14), max(1, height // 14)),
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    coarse = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    keep = np.ones((height, width, 1), bool)
    if isinstance(said, VehicleSighting) and said.plate is not None:
        margin = 0.05 * max(said.box.width, said.box.height)
        left = said.plate.box.x - max(0.0, said.box.x - margin)
        top = said.plate.box.y - max(0.0, said.box.y - margin)
        grow = 0.3 * said.plate.box.height
        rows = slice(max(0, int(top - grow)), int(top + said.plate.box.height + grow) + 1)
        columns = slice(max(0, int(left - grow)), int(left + said.plate.box.width + grow) + 1)
        keep[rows, columns] = False
    elif isinstance(said, Sighting):
        margin = 0.15 * max(said.box.width, said.box.height)
        x, y = min(margin, said.box.x), min(margin, said.box.y)
        keep[:] = False
        keep[int(y) : int(y + said.box.height) + 1, int(x) : int(x + said.box.width) + 1] = True
    # Of a marking's crop only the marking itself is kept: no vehicle to look for a plate on.
    sharp = cover_bystanders(
        np.ascontiguousarray(picture), plates=isinstance(said, VehicleSighting)
    )
    return np.where(keep, sharp, coarse)


def draw_palette(sighting: VehicleSighting) -> Figure:
    """A vehicle's palette as measured, with the colour candidates or why there is none."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(5.0, 1.1), layout="constrained")
    ax = figure.subplots()
    at = 0.0
    for part in sighting.palette:
        colour, share = part.split(" ")
        wide = float(share.rstrip("%")) / 100
        ax.add_patch(Rectangle((at, 0), wide, 1, color=colour))
        at += wide
    ax.set_xlim(0, max(at, 0.01))
    ax.set_axis_off()
    named = ", ".join(f"{c.entry} {c.score:.0%}" for c in sighting.colours)
    ax.set_title(named or sighting.attributes.get("colour", "colour not named"), fontsize=8,
                 loc="left")  # fmt: skip
    return figure
