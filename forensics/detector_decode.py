"""From a detector's raw outputs to boxes: one pure function a family of networks.

Each takes (raw outputs, (width, height) fed, number of labels, least score) and returns corner
boxes (n, 4) as left, top, right, bottom in fed pixels, label numbers (n,), scores (n,).

References: NanoDet (generalised focal loss, integral box distributions); SSD (Liu et al. 2016)
with the anchors of the TensorFlow object detection API; YOLOX (Ge et al. 2021); DETR (Carion et
al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from forensics.errors import RecordInvalid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DECODERS", "Decoded", "greedy_suppression", "ssd_anchors"]

Decoded: TypeAlias = "tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]"
_OVERLAP = 0.5


def greedy_suppression(
    boxes: Sequence[Sequence[float]], scores: Sequence[float], overlap: float
) -> list[list[int]]:
    """Group boxes (x, y, width, height): each group's first is its best, the rest overlap it.

    A box also belongs to a better one that covers four fifths of it, unless it is much smaller:
    half a person is no second person, a car before a lorry is a second vehicle.
    """
    import numpy as np

    if not len(boxes):
        return []
    table = np.asarray(boxes, dtype=np.float64)
    left, top = table[:, 0], table[:, 1]
    right, bottom = left + table[:, 2], top + table[:, 3]
    area = table[:, 2] * table[:, 3]
    order = list(np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable"))
    free = np.ones(len(table), dtype=bool)
    groups = []
    for best in order:
        if not free[best]:
            continue
        wide = np.minimum(right, right[best]) - np.maximum(left, left[best])
        high = np.minimum(bottom, bottom[best]) - np.maximum(top, top[best])
        shared = np.clip(wide, 0, None) * np.clip(high, 0, None)
        union = area + area[best] - shared
        smaller, larger = np.minimum(area, area[best]), np.maximum(area, area[best])
        inside = (shared >= 0.8 * smaller) & (smaller >= 0.4 * larger)
        near = free & ((shared >= overlap * np.maximum(union, 1e-9)) | inside)
        near[best] = True
        free &= ~near
        groups.append([int(best), *(int(i) for i in order if near[i] and i != best)])
    return groups


def _select(
    corners: NDArray[np.float64], scores: NDArray[np.float64], floor: float, limit: int = 300
) -> Decoded:
    # Per label: keep what passes, drop what a better box of the same label covers.
    import numpy as np

    rows, classes = np.nonzero(scores >= floor)
    values = scores[rows, classes]
    best = np.argsort(-values, kind="stable")[: limit * 4]
    rows, classes, values = rows[best], classes[best], values[best]
    kept: list[int] = []
    for label in np.unique(classes):
        own = np.nonzero(classes == label)[0]
        part = corners[rows[own]]
        sized = np.column_stack([part[:, :2], part[:, 2:] - part[:, :2]])
        groups = greedy_suppression(sized.tolist(), values[own].tolist(), _OVERLAP)
        kept += [int(own[group[0]]) for group in groups]
    kept = sorted(kept, key=lambda i: -values[i])[:limit]
    return corners[rows[kept]], classes[kept].astype(np.int64), values[kept]


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    done: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(x, -60, 60)))
    return done


def _nanodet(raw: Sequence[Any], size: tuple[int, int], labels: int, floor: float) -> Decoded:
    import numpy as np

    tables = [np.asarray(part, dtype=np.float64)[0] for part in raw]
    corners, scores = [], []
    for stride in (8, 16, 32):
        wide, high = size[0] // stride, size[1] // stride
        cells = wide * high
        score = next((t for t in tables if t.shape == (cells, labels)), None)
        spread = next((t for t in tables if t.shape[0] == cells and t is not score), None)
        if score is None or spread is None:
            raise RecordInvalid(f"not a NanoDet: no outputs of {cells} cells by {labels} labels")
        # The order of a converted network's outputs is arbitrary; their shapes are not.
        bins = spread.reshape(cells, 4, -1)
        weight = np.exp(bins - bins.max(axis=2, keepdims=True))
        weight /= weight.sum(axis=2, keepdims=True)
        reach = (weight * np.arange(bins.shape[2])).sum(axis=2) * stride
        y, x = np.divmod(np.arange(cells), wide)
        centre_x, centre_y = (x + 0.5) * stride, (y + 0.5) * stride
        corners.append(
            np.column_stack(
                [centre_x - reach[:, 0], centre_y - reach[:, 1],
                 centre_x + reach[:, 2], centre_y + reach[:, 3]]
            )
        )  # fmt: skip
        inside = score.min() >= 0 and score.max() <= 1
        scores.append(score if inside else _sigmoid(score))
    return _select(np.concatenate(corners), np.concatenate(scores), floor)


def ssd_anchors(size: tuple[int, int] = (300, 300)) -> NDArray[np.float64]:
    """Centres and sizes (n, 4: y, x, height, width, 0-1) of the six-layer SSD grid."""
    import numpy as np

    grids, edge = [], max(size) / 16
    for _ in range(6):
        grids.append(int(np.ceil(edge)))
        edge = grids[-1] / 2
    steps = [*np.linspace(0.2, 0.95, 6).tolist(), 1.0]
    anchors = []
    for layer, grid in enumerate(grids):
        if layer == 0:
            shapes = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)]
        else:
            shapes = [(steps[layer], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
            shapes.append((float(np.sqrt(steps[layer] * steps[layer + 1])), 1.0))
        for y in range(grid):
            for x in range(grid):
                for scale, ratio in shapes:
                    root = float(np.sqrt(ratio))
                    anchors.append(((y + 0.5) / grid, (x + 0.5) / grid, scale / root, scale * root))
    return np.asarray(anchors)


def _ssd(raw: Sequence[Any], size: tuple[int, int], labels: int, floor: float) -> Decoded:
    import numpy as np

    tables = [np.asarray(part, dtype=np.float64)[0] for part in raw]
    coded = next((t for t in tables if t.shape[-1] == 4), None)
    scored = next((t for t in tables if t.shape[-1] == labels), None)
    anchors = ssd_anchors(size)
    if coded is None or scored is None or len(coded) != len(anchors):
        raise RecordInvalid(f"not an SSD of {len(anchors)} anchors and {labels} labels")
    y = coded[:, 0] / 10 * anchors[:, 2] + anchors[:, 0]
    x = coded[:, 1] / 10 * anchors[:, 3] + anchors[:, 1]
    high = np.exp(np.clip(coded[:, 2] / 5, -8, 8)) * anchors[:, 2]
    wide = np.exp(np.clip(coded[:, 3] / 5, -8, 8)) * anchors[:, 3]
    corners = np.column_stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2])
    scores = _sigmoid(scored)
    scores[:, 0] = 0  # background
    return _select(corners * np.array([*size, *size]), scores, floor)


def _yolox(raw: Sequence[Any], size: tuple[int, int], labels: int, floor: float) -> Decoded:
    import numpy as np

    table = np.asarray(raw[0], dtype=np.float64)[0]
    grid, strides = [], []
    for stride in (8, 16, 32):
        wide, high = size[0] // stride, size[1] // stride
        y, x = np.divmod(np.arange(wide * high), wide)
        grid.append(np.column_stack([x, y]))
        strides.append(np.full((wide * high, 1), stride))
    cells, step = np.concatenate(grid), np.concatenate(strides)
    if table.shape != (len(cells), 5 + labels):
        raise RecordInvalid(f"not a YOLOX of {len(cells)} cells and {labels} labels")
    centre = (table[:, :2] + cells) * step
    half = np.exp(np.clip(table[:, 2:4], -8, 8)) * step / 2
    return _select(
        np.column_stack([centre - half, centre + half]), table[:, 4:5] * table[:, 5:], floor
    )


def _detr(raw: Sequence[Any], size: tuple[int, int], labels: int, floor: float) -> Decoded:
    import numpy as np

    tables = [np.asarray(part, dtype=np.float64)[0] for part in raw]
    boxes = next((t for t in tables if t.ndim == 2 and t.shape[1] == 4), None)
    logits = next((t for t in tables if t.ndim == 2 and t.shape[1] == labels), None)
    if boxes is None or logits is None or len(boxes) != len(logits):
        raise RecordInvalid(f"not a DETR: no boxes with {labels} label scores")
    half = boxes[:, 2:] / 2
    corners = np.column_stack([boxes[:, :2] - half, boxes[:, :2] + half])
    return _select(corners * np.array([*size, *size]), _sigmoid(logits), floor)


#: The families a card may name.
DECODERS: dict[str, Callable[[Sequence[Any], tuple[int, int], int, float], Decoded]] = {
    "nanodet": _nanodet, "ssd": _ssd, "yolox": _yolox, "detr": _detr,
}  # fmt: skip
