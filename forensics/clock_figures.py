"""Learn how every figure looks at every place of the clock, from frames whose second is known.

Pure functions of arrays. A text recogniser, or the beat of the clock, says which second some frames
show; from those the last place of the seconds is found (it is alike where its figure is alike, and
differs where it differs), its ten figures are learned, and the other five places are found by them.
A place keeps its own picture of the figures it was seen to show; the others are drawn from the ink
of the last place over the ground of this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.clock_course import figures_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]
    Integers = NDArray[np.int64]

__all__ = ["Figures", "Spot", "average_seconds", "find_spot", "learn_figures"]

#: Frames of one figure that are looked at, at most and at least.
_MOST, _LEAST = 60, 3
#: Grey levels by which coding alone moves a pixel.
_NOISE = 6.0
#: How surely one frame can speak against a figure, and how many frames a second speak for
#: themselves: what stands behind the figures, and the coder, changes slowly.
_FLOOR, _FRESH = -4.0, 4.0
#: So many times further from every look than usual, a frame says less and less.
_STRANGE = 2.0
#: What a place that tells nothing says of a figure, nats.
_NOTHING = -2.25
_SHARP = (0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.2)
#: Room between two pairs of figures at most, in figures: "12 : 59 : 30".
_MOST_GAP = 3.3
#: Places of HHMMSS from the last one leftwards: figures and separators between.
_STEPS = ((5, 2), (4, 2), (3, 1), (2, 1), (1, 0), (0, 0))


@dataclass(frozen=True)
class Spot:
    """Where the last figure of the seconds stands in the crops, in pixels."""

    left: int
    right: int
    top: int
    bottom: int


@dataclass(frozen=True)
class Figures:
    """Looks of ten figures at up to six places HHMMSS.

    `left`, `top` are the corners of each place (-1: not told apart), `means` (6, 10, h, w) the
    looks, `weight` (6, h, w) what a pixel counts, `seen` (6, 10) which figures that very place was
    seen to show, `sharp` how far a frame's likelihood ratio is to be believed, `usual` how far
    a frame is from the look it fits best: one much further shows none of them clearly. `told` is
    how well each place predicts the figures known, nats a frame, at most 0.
    """

    left: Integers
    top: Integers
    means: Floats
    weight: Floats
    seen: NDArray[np.bool_]
    sharp: Floats
    usual: Floats
    told: Floats

    @property
    def worth(self) -> float:
        """How well all six places predict the figures known: nats a frame and place, at most 0."""
        return float(self.told.mean())

    def ink(self, shown: Integers, size: tuple[int, int], twelve: bool) -> Floats:
        """How far each pixel of crops of `size` (h, w) is ink at seconds `shown`, 0 to 1; -1 beside
        the figures: (n, h, w).
        """
        import numpy as np

        share, _ = _ink(self.means[5])
        figures = figures_of(shown, twelve)
        out = np.full((len(shown), *size), -1.0, np.float32)
        tall, wide = share.shape[1:]
        for p in self.places:
            x, y = int(self.left[p]), int(self.top[p])
            cells = out[:, y : y + tall, x : x + wide]
            cells[:] = share[figures[:, p], : cells.shape[1], : cells.shape[2]]
        return out

    @property
    def spot(self) -> Spot:
        """Where the last figure stands."""
        x, y = int(self.left[5]), int(self.top[5])
        return Spot(x, x + self.means.shape[3], y, y + self.means.shape[2])

    @property
    def places(self) -> list[int]:
        """The places that are told apart."""
        return [p for p in range(6) if self.left[p] >= 0]

    def score(self, crops: Bytes, fps: float) -> Floats:
        """Evidence (n, 6, 10) of each frame for each figure, nats, 0 for the best one."""
        import numpy as np

        out = np.zeros((len(crops), 6, 10), np.float32)
        height, width = self.means.shape[2:]
        for p in self.places:
            x, y = int(self.left[p]), int(self.top[p])
            cells = crops[:, y : y + height, x : x + width]
            fit, shared = _fit(cells, self.means[p], self.weight[p])
            best = fit.max(axis=1, keepdims=True)
            strange = (shared - best[:, 0]) / self.usual[p]
            trust = np.minimum(1.0, (_STRANGE / np.maximum(strange, 1e-3)) ** 2)
            out[:, p] = self.sharp[p] * (fit - best)
            # A share of chance in every figure: no single frame is certain.
            even = np.exp(out[:, p])
            even /= even.sum(axis=1, keepdims=True)
            out[:, p] = np.log(even + np.exp(_FLOOR))
            out[:, p] -= out[:, p].max(axis=1, keepdims=True)
            out[:, p] *= trust[:, None]
        return out * np.float32(min(1.0, _FRESH / max(fps, 1e-3)))


def _level(images: NDArray[Any], weight: Floats) -> Floats:
    """Images (k, pixels) without their weighted mean: how light it is all over says nothing."""
    import numpy as np

    flat = images.reshape(len(images), -1).astype(np.float32)
    heavy = weight.reshape(-1)
    out: Floats = flat - (flat @ heavy / heavy.sum())[:, None]
    return out


def _fit(cells: NDArray[Any], means: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Half the weighted squared distance to each look, negative, up to what all looks share
    (n, 10), and that share (n,).
    """
    import numpy as np

    flat, looks = _level(cells, weight), _level(means, weight)
    heavy = looks * weight.reshape(1, -1)
    out: Floats = flat @ heavy.T - 0.5 * (heavy * looks).sum(axis=1)
    shared: Floats = 0.5 * ((flat * flat) @ weight.reshape(-1)).astype(np.float32)
    return out, shared


def _stretches(shown: Integers) -> list[Integers]:
    """Frames known to show one second, for each second anew."""
    import numpy as np

    known = np.flatnonzero(shown >= 0)
    cuts = np.flatnonzero((np.diff(shown[known]) != 0) | (np.diff(known) > 60)) + 1
    return np.split(known, cuts)


def average_seconds(crops: Bytes, shown: Integers) -> tuple[Floats, Integers]:
    """Mean crop of each stretch of frames known to show one second, and that second.

    Parameters
    ----------
    crops
        (n, h, w) uint8.
    shown
        (n,) the second each frame shows, -1 where that is not known; some must be.
    """
    import numpy as np

    parts = _stretches(shown)
    means = np.stack([crops[part[:: len(part) // 20 + 1]].mean(axis=0, dtype=np.float32)
                      for part in parts])  # fmt: skip
    return means, np.array([shown[part[0]] for part in parts], np.int64)


def find_spot(crops: Bytes, shown: Integers) -> Spot | None:
    """The last figure of the seconds: what differs between seconds only as their units differ.

    Parameters
    ----------
    crops
        (n, h, w) uint8.
    shown
        (n,) the second each frame shows, -1 where that is not known.
    """
    import numpy as np

    if (shown >= 0).sum() < 10:
        return None
    means, seconds = average_seconds(crops, shown)
    units = seconds % 10
    if len(means) < 12 or len(np.unique(units)) < 5:
        return None
    # What lights up or passes behind the line changes wide areas; figures are what is fine.
    return _spot(means, units) or _spot(_fine(means), units)


def _fine(images: Floats) -> Floats:
    """Images (n, h, w) without what is wide in them."""
    import cv2
    import numpy as np

    wide = max(1.5, images.shape[1] / 10)
    return np.stack([image - cv2.GaussianBlur(image, (0, 0), wide) for image in images])


def _spot(means: Floats, units: Integers) -> Spot | None:
    """Where pictures (n, h, w) of seconds differ between units (n,) more than within them."""
    import numpy as np

    kinds = np.unique(units)
    total = means.var(axis=0) * len(means) / (len(means) - 1)
    inside = sum(means[units == u].var(axis=0) * (units == u).sum() for u in kinds)
    inside = inside / (len(means) - len(kinds))
    lively = np.clip(total - inside, 0, None) / (inside + 4 * _NOISE**2 / 10)
    lively = np.sqrt(np.minimum(lively, 50.0))
    columns = np.sort(lively, axis=0)[-max(2, lively.shape[0] // 6) :].mean(axis=0)
    columns = np.convolve(columns, [0.25, 0.5, 0.25], "same")
    index = np.flatnonzero(columns > 0.35 * columns.max())
    runs = np.split(index, np.flatnonzero(np.diff(index) > 2) + 1)
    run = max(runs, key=lambda r: float(columns[r].sum()))
    left, right = int(run[0]), int(run[-1]) + 1
    rows = np.sort(lively[:, left:right], axis=1)[:, -max(2, (right - left) // 3) :].mean(axis=1)
    index = np.flatnonzero(rows > 0.3 * rows.max())
    runs = np.split(index, np.flatnonzero(np.diff(index) > 3) + 1)
    run = max(runs, key=lambda r: float(rows[r].sum()))
    top, bottom = int(run[0]), int(run[-1]) + 1
    if bottom - top < 5 or not 0.2 <= (right - left) / (bottom - top) <= 1.6:
        return None
    pad = max(1, round(0.08 * (bottom - top)))
    return Spot(max(0, left - 1), min(means.shape[2], right + 1), max(0, top - pad),
                min(means.shape[1], bottom + pad))  # fmt: skip


def _fairly(shown: Integers) -> Integers:
    """Frames whose second is known; of a second that stood no more than of the others.

    A second that stood holds one picture many times over, and what happens to lie behind its
    figures would be learned as theirs.
    """
    import numpy as np

    parts = _stretches(shown)
    most = int(1.3 * np.median([len(part) for part in parts])) + 1
    return np.concatenate([
        part if len(part) <= most else part[np.linspace(0, len(part) - 1, most).astype(int)]
        for part in parts
    ])  # fmt: skip


def _classes(
    cells: Bytes, figure: Integers, times: int = _MOST
) -> tuple[Floats, Floats, Integers]:  # fmt: skip
    """Median-like mean (10, h, w), variance within (h, w), and frames used of each figure."""
    import numpy as np

    means = np.zeros((10, *cells.shape[1:]), np.float32)
    spread = np.zeros(cells.shape[1:], np.float32)
    count = np.zeros(10, np.int64)
    for d in range(10):
        pick = np.flatnonzero(figure == d)
        if not len(pick):
            continue
        rows = cells[pick[np.linspace(0, len(pick) - 1, min(times, len(pick))).astype(int)]]
        rows = rows.astype(np.float32)
        middle = np.median(rows, axis=0)
        # The mean of the frames that resemble the middle one: a few wrong labels do no harm.
        apart = np.abs(rows - middle).mean(axis=(1, 2))
        rows = rows[apart <= 2.5 * np.median(apart) + 1.0]
        means[d], count[d] = rows.mean(axis=0), len(rows)
        spread += ((rows - means[d]) ** 2).sum(axis=0)
    spread /= max(1, int(count.sum()) - int((count > 0).sum()))
    return means, spread, count


def _ink(means: Floats) -> tuple[Floats, float]:
    """How far each pixel of each figure is ink (10, h, w), 0 to 1, and the grey of the ink."""
    import numpy as np

    ordered = np.sort(means, axis=0)
    bright = float(np.percentile(ordered[-2], 95) - np.median(means))
    dark = float(np.median(means) - np.percentile(ordered[1], 5))
    if bright >= dark:
        ink, ground = float(np.percentile(means, 97)), ordered[1]
    else:
        ink, ground = float(np.percentile(means, 3)), ordered[-2]
    reach = ink - ground
    reach = np.where(np.abs(reach) < 15, np.copysign(1e6, reach), reach)
    share: Floats = np.clip((means - ground) / reach, 0, 1)
    return share, ink


def _shifted(images: Floats, dx: float, dy: float) -> Floats:
    """Images (k, h, w) moved by part of a pixel."""
    import cv2
    import numpy as np

    if dx == 0 and dy == 0:
        return images
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = images.shape[2], images.shape[1]
    return np.stack([
        cv2.warpAffine(image, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for image in images.astype(np.float32)
    ])  # fmt: skip


def _place(
    looks: Floats, means: Floats, figures: Integers, spot: Spot
) -> list[tuple[int, int] | None]:
    """Column and row of each of six places, by how well the looks of known figures fit there."""
    import cv2
    import numpy as np

    height, width = looks.shape[1:]
    pick = np.unique(np.linspace(0, len(means) - 1, min(40, len(means))).astype(int))
    top = max(0, spot.top - 2)
    bottom = min(means.shape[1], spot.bottom + 2)
    maps = np.stack([
        [cv2.matchTemplate(np.ascontiguousarray(means[i, top:bottom]), look, cv2.TM_CCOEFF_NORMED)
         for look in looks.astype(np.float32)] for i in pick
    ])  # fmt: skip
    fits = np.stack([maps[np.arange(len(pick)), figures[pick, p]].mean(axis=0) for p in range(6)])
    across = fits.max(axis=1)  # (6, columns)
    limit = across.shape[1]
    found: tuple[float, float, float] | None = None
    for pitch in np.arange(max(3.0, 0.55 * width), 1.7 * width + 1.0, 0.25):
        if not 0.3 * height <= pitch <= 1.3 * height:
            continue
        gaps = np.arange(0.15 * pitch, _MOST_GAP * pitch, 0.25)
        x = np.rint(spot.left - np.array([n for n, _ in _STEPS])[:, None] * pitch
                    - np.array([g for _, g in _STEPS])[:, None] * gaps).astype(int)  # fmt: skip
        inside = (x >= 0) & (x < limit)
        value = np.where(inside, np.take_along_axis(across, np.clip(x, 0, limit - 1), 1), -0.5)
        best = int(value.sum(axis=0).argmax())
        if found is None or value[:, best].sum() > found[0]:
            found = (float(value[:, best].sum()), float(pitch), float(gaps[best]))
    if found is None:
        return [None] * 5 + [(spot.left, spot.top)]
    places: list[tuple[int, int] | None] = []
    for p, (n, g) in enumerate(_STEPS[:5]):
        x = round(spot.left - n * found[1] - g * found[2])
        near = fits[p][:, max(0, x - 1) : x + 2]
        if x < -1 or near.size == 0 or near.max() < 0.4:
            places.append(None)
            continue
        row, column = np.unravel_index(int(near.argmax()), near.shape)
        places.append((int(column) + max(0, x - 1), int(row) + top))
    return [*places, (spot.left, spot.top)]


def _drawn(
    share: Floats, ink: float, own: Floats, seen: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Figures a place never showed, in ink over the place's own ground; and the error of that."""
    import cv2
    import numpy as np

    known = np.flatnonzero(seen)
    clear = np.clip(1 - share[known], 0, 1) ** 2
    clear[clear < 0.25] = 0
    # What is seen of the ground through the figures, spread to where it never is.
    sums = (clear * (own[known] - share[known] * ink) / np.maximum(1 - share[known], 0.5)).sum(0)
    weight = clear.sum(axis=0)
    wide = [cv2.GaussianBlur(v.astype(np.float32), (0, 0), 2.0) for v in (sums, weight)]
    ground = np.where(weight > 0.2, sums / np.maximum(weight, 0.2),
                      wide[0] / np.maximum(wide[1], 1e-3))  # fmt: skip
    drawn = share * ink + (1 - share) * np.clip(ground, 0, 255)
    error = ((drawn[known] - own[known]) ** 2).mean(axis=0)
    return drawn, cv2.GaussianBlur(error.astype(np.float32), (0, 0), 1.0)


def learn_figures(
    crops: Bytes, shown: Integers, *, twelve: bool = False, units: bool = False,
    like: Figures | None = None,
) -> Figures | None:  # fmt: skip
    """How the figures look at each place.

    Parameters
    ----------
    crops
        (n, h, w) uint8, all of one stretch.
    shown
        (n,) the second of the day each frame shows, -1 where that is not known; a few may be wrong.
    twelve
        The clock shows hours 1 to 12.
    units
        Only the units of `shown` are known.
    like
        Figures known from elsewhere: these stand where those do.

    Returns
    -------
    Figures or None
        None where the last place is not found, or did not show all ten figures.
    """
    import numpy as np

    spot = find_spot(crops, shown) if like is None else like.spot
    if spot is None:
        return None
    known = _fairly(shown)
    figures = figures_of(shown[known], twelve)
    cells = crops[known, spot.top : spot.bottom, spot.left : spot.right]
    looks, spread, count = _classes(cells, figures[:, 5])
    if (count < _LEAST).any():
        return None
    share, ink = _ink(looks)
    height, width = looks.shape[1:]
    where: list[tuple[int, int] | None] = [None] * 5 + [(spot.left, spot.top)]
    if like is not None:
        where = [(int(like.left[p]), int(like.top[p])) if p in like.places else None
                 for p in range(6)]  # fmt: skip
    elif not units:
        means, seconds = average_seconds(crops, shown)
        where = _place(looks, means, figures_of(seconds, twelve), spot)
    left, top = np.full(6, -1, np.int64), np.full(6, -1, np.int64)
    out = np.zeros((6, 10, height, width), np.float32)
    weight = np.zeros((6, height, width), np.float32)
    seen, sharp = np.zeros((6, 10), bool), np.zeros(6, np.float32)
    usual, told = np.ones(6, np.float32), np.full(6, _NOTHING, np.float32)
    for p in (5, 4, 3, 2, 1, 0):
        at = where[p]
        if at is None:
            continue
        x, y = at
        cells = crops[known, y : y + height, x : x + width]
        if cells.shape[1:] != (height, width):
            continue
        own, noise, count = _classes(cells, figures[:, p])
        seen[p] = count >= _LEAST
        if p == 5:
            drawn, error = looks, np.zeros_like(spread)
        elif not seen[p].any():
            continue
        else:
            best = None
            for dx in (-0.5, -0.25, 0.0, 0.25, 0.5):
                for dy in (-0.5, -0.25, 0.0, 0.25, 0.5):
                    tried = _drawn(_shifted(share, dx, dy), ink, own, seen[p])
                    if best is None or tried[1].sum() < best[1].sum():
                        best = tried
            assert best is not None
            drawn, error = best
        out[p] = np.where(seen[p][:, None, None], own, drawn)
        weight[p] = 1.0 / (noise + error + _NOISE**2)
        sharp[p], usual[p], told[p] = _believed(cells, figures[:, p], out[p], weight[p])
        left[p], top[p] = x, y
        if p == 5 and sharp[5] == 0:
            return None
    return Figures(left, top, out, weight, seen, sharp, usual, told)


def _believed(
    cells: Bytes, figure: Integers, means: Floats, weight: Floats
) -> tuple[float, float, float]:  # fmt: skip
    """The power of a frame's likelihood ratio at which it predicts the known figures best, how far
    nine in ten of the frames are from their look, and how well it predicts, nats a frame.
    """
    import numpy as np

    pick = np.linspace(0, len(cells) - 1, min(400, len(cells))).astype(int)
    fit, shared = _fit(cells[pick], means, weight)
    usual = float(np.percentile(shared - fit[np.arange(len(pick)), figure[pick]], 90))
    fit = fit - fit.max(axis=1, keepdims=True)
    best, chosen = _NOTHING, 0.0
    for sharp in _SHARP:
        even = np.exp(sharp * fit)
        even = even[np.arange(len(pick)), figure[pick]] / even.sum(axis=1)
        value = float(np.log(0.98 * even + 0.002).mean())
        if value > best:
            best, chosen = value, sharp
    return chosen, max(usual, 0.25 * weight.size), best
