"""Which short rises of brightness come and go on the spot, as light does, and which are movement.

Pure functions of arrays, in two steps. `find_candidates` searches block means for what is brighter
for a moment than just before and just after; most of that is something bright passing. `look` then
holds the small pictures around the moment against each other, pixel by pixel. A flash lights its
whole place at once, leaves the ground's own pattern in it, does not darken anything, goes out to
what was there before, and nothing like it is beside it a moment earlier or later. Something that
moves fails at least one of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

__all__ = ["LEAST_LEVELS", "LIMIT", "Candidate", "Rise", "find_candidates", "join", "look"]

#: A block must rise by this many levels, and by this many times its usual restlessness.
_LEAST_BLOCK, _NOISE_TIMES = 4.0, 6.0
#: A patch of three by three pixels of the small picture must rise by this many levels.
LEAST_LEVELS = 6.0
#: What a rise may differ from a flash by: a sum of squares, see `_unlike`.
LIMIT = 1.5
#: Each measure of movement at which it alone would nearly be too much.
_DARK, _BESIDE, _PATTERN, _UNEVEN, _STAYS, _ARRIVES = 0.4, 0.55, 0.4, 0.5, 0.5, 0.5
#: Places looked at in one candidate: a flash and what happens to move in the same blocks.
_PLACES = 5
#: The ways of an object under this many pixels are too short to be told from a flash's.
_TINY_PX = 40


@dataclass(frozen=True)
class Candidate:
    """Blocks that are brighter from one frame to another: first, last, brightest, which."""

    first: int
    last: int
    peak: int
    blocks: Flags = field(repr=False)

    @property
    def lasted(self) -> int:
        """Frames."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Rise:
    """A short rise that came and went on the spot.

    Attributes
    ----------
    first, last, peak
        Frames.
    box
        (x, y, w, h) in pixels of the small picture.
    share
        Of the picture, 0 to 1.
    rise, noise
        Grey levels: by how much the brightest patch rose, and what the place differs by without
        it.
    unlike
        0: nothing speaks against light; up to `LIMIT`.
    tiny
        Too small or too unlike the ground for the ground's pattern to be recognised in it.
    """

    first: int
    last: int
    peak: int
    box: tuple[int, int, int, int]
    share: float
    rise: float
    noise: float
    unlike: float
    tiny: bool


def find_candidates(light: Floats, times: Floats, *, longest_s: float = 0.5) -> list[Candidate]:
    """Blocks brighter for a moment than just before and just after.

    Parameters
    ----------
    light
        (n, rows, columns) mean grey level of each block.
    times
        (n,) seconds.
    longest_s
        What lasts longer is a change of light, not a flash.
    """
    import numpy as np

    if len(light) < 8:
        return []
    frame_s = max(float(np.median(np.diff(times))), 1e-3)
    found: dict[tuple[int, int, bytes], Candidate] = {}
    # A moment of two frames stands out of traffic that would hide it among longer ones.
    for width in sorted(
        {max(3, round(0.12 / frame_s) + 1) | 1, (round(longest_s / frame_s) + 2) | 1}
    ):
        for one in _brief(light, width, round(longest_s / frame_s) + 1):
            found.setdefault((one.first, one.last, one.blocks.tobytes()), one)
    return sorted(found.values(), key=lambda one: (one.last, one.first))


def _brief(light: Floats, width: int, longest: int) -> list[Candidate]:
    """What is brighter for fewer than `width` frames, blocks beside each other taken together."""
    import numpy as np
    from scipy.ndimage import maximum_filter1d, minimum_filter1d
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    under = maximum_filter1d(minimum_filter1d(light, width, axis=0), width, axis=0)
    above = np.maximum(light - under, 0)
    noise = 1.4826 * np.median(above, axis=0) + 0.05
    lit = above > np.maximum(_LEAST_BLOCK, _NOISE_TIMES * noise)
    edge = np.zeros((1, *lit.shape[1:]), bool)
    steps = np.diff(np.concatenate([edge, lit, edge]).astype(np.int8), axis=0)
    # By block, then by time: starts and ends correspond.
    row, column, first = np.nonzero(np.moveaxis(steps, 0, -1) == 1)
    last = np.nonzero(np.moveaxis(steps, 0, -1) == -1)[2] - 1
    short = last - first < longest
    row, column, first, last = row[short], column[short], first[short], last[short]
    if not len(row):
        return []
    peak = first.copy()
    for j in range(1, int((last - first).max()) + 1):
        at = np.minimum(first + j, last)
        peak = np.where(above[at, row, column] > above[peak, row, column], at, peak)
    # Neighbours that are brightest within a frame of each other, for about as long.
    near = np.stack([peak, row, column, (last - first) / 2], axis=1)
    pairs = cKDTree(near).query_pairs(1.0, p=np.inf, output_type="ndarray")
    size = (len(row), len(row))
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=size)
    count, group = connected_components(graph, directed=False)
    order = np.argsort(group, kind="stable")
    found = []
    for members in np.split(order, np.cumsum(np.bincount(group, minlength=count))[:-1]):
        best = members[above[peak[members], row[members], column[members]].argmax()]
        blocks = np.zeros(light.shape[1:], bool)
        blocks[row[members], column[members]] = True
        found.append(Candidate(int(first[best]), int(last[best]), int(peak[best]), blocks))
    return found


def look(frames: Sequence[Bytes], candidate: Candidate, *, start: int = 0) -> list[Rise]:
    """The rises in the place and time of a candidate that came and went on the spot.

    Parameters
    ----------
    frames
        Small grey pictures, all of one shape.
    candidate
        Numbered from the first frame of the clip.
    start
        The number of ``frames[0]`` in the clip. From as many frames before the candidate as it
        lasts, and two more, to as many after it, all should be there; fewer weaken the test.

    When it errs
    ------------
    It calls it wrongly when something bright is there for one frame only: a drop, an insect, a
    bird close to the lens, sunlight between leaves. It misses flashes on what moves itself, and
    small ones beside something of their size that moves.
    """
    import cv2
    import numpy as np

    last_one = len(frames) - 1
    a, b, top_at = candidate.first - start, candidate.last - start, candidate.peak - start
    if a < 2 or b + 2 > last_one:
        return []

    opened: dict[int, Floats] = {}

    def at(k: int) -> Floats:
        k = min(max(k, 0), last_one)
        if k not in opened:
            opened[k] = frames[k].astype(np.float32)
        return opened[k]

    lit, before, after = at(top_at), at(a - 1), at(b + 1)
    height, width = lit.shape
    risen = lit - np.maximum(before, after)
    patches = _smoothed(risen)
    left = cv2.resize(candidate.blocks.astype(np.uint8), (width, height),
                      interpolation=cv2.INTER_NEAREST) > 0  # fmt: skip
    found = []
    for _ in range(_PLACES):
        y, x = divmod(int(np.where(left, patches, 0).argmax()), width)
        top = float(patches[y, x])
        if top < LEAST_LEVELS or not left[y, x]:
            break
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            (patches > max(3.0, 0.35 * top)).astype(np.uint8)
        )
        blob = labels == labels[y, x]
        left &= ~blob
        bx, by, bw, bh, area = (int(v) for v in stats[labels[y, x]])
        place = _Place(top, blob, (bx, by, bw, bh), area)
        unlike = _unlike(at, (a, b, top_at), place, risen, patches)
        if unlike <= LIMIT:
            noise = 1.4826 * float(np.median(np.abs(before - after)[blob]))
            found.append(Rise(
                candidate.first, candidate.last, candidate.peak, place.box, area / blob.size, top,
                noise, unlike, area < _TINY_PX,
            ))  # fmt: skip
    return found


@dataclass(frozen=True)
class _Place:
    """Where it rose: by how much at most, which pixels, their box, how many."""

    top: float
    blob: Flags
    box: tuple[int, int, int, int]
    area: int

    def likeness(self, patches: Floats) -> float:
        """How like this the likest other bright place is, in height and size, 0 to 1."""
        import cv2
        import numpy as np

        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            (patches > max(3.0, 0.35 * self.top)).astype(np.uint8)
        )
        best = 0.0
        for number in range(1, count):
            x, y, w, h, area = (int(v) for v in stats[number])
            part = labels[y : y + h, x : x + w] == number
            peak = float(np.where(part, patches[y : y + h, x : x + w], 0).max())
            alike = min(peak / self.top, self.top / peak)
            best = max(best, alike * min(area / self.area, self.area / area) ** 0.5)
        return best

    def around(self, times: float, more_px: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of the box, widened on each side."""
        x, y, w, h = self.box
        wide, high = int(times * w) + more_px, int(times * h) + more_px
        return (slice(max(0, y - high), min(shape[0], y + h + high)),
                slice(max(0, x - wide), min(shape[1], x + w + wide)))  # fmt: skip


def _smoothed(risen: Floats) -> Floats:
    import cv2
    import numpy as np

    out: Floats = np.asarray(cv2.blur(np.maximum(risen, 0), (3, 3)), np.float32)
    return out


def _unlike(
    at: Any, when: tuple[int, int, int], place: _Place, risen: Floats, patches: Floats
) -> float:
    """How unlike light coming on and going out it is: 0 not at all, above `LIMIT` too much.

    The sum of squares of six shares, each 1 where a thing that moves usually begins. What is cheap
    is asked first, and nothing more once it is too much.
    """
    total = 0.0
    for measure in (_darkened, _stays, _pattern, _uneven, _beside):
        total += measure(at, when, place, risen, patches)
        if total > LIMIT:
            break
    return total


def _darkened(
    at: Any, when: tuple[int, int, int], place: _Place, risen: Floats, patches: Floats
) -> float:
    """What became darker beside it: a thing uncovers what it leaves."""
    import numpy as np

    a, b, top_at = when
    near = place.around(1.0, 2, risen.shape)
    darker = (np.minimum(at(a - 1), at(b + 1)) - at(top_at))[near]
    bright = max(1.0, float(np.maximum(risen, 0)[place.blob].sum()))
    return float((float(darker[darker > 3].sum()) / bright / _DARK) ** 2)


def _stays(
    at: Any, when: tuple[int, int, int], place: _Place, risen: Floats, patches: Floats
) -> float:
    """What is not as it was before: light leaves nothing behind."""
    import numpy as np

    left = np.abs(at(when[0] - 1) - at(when[1] + 1))[place.blob].mean()
    mean = max(1.0, float(risen[place.blob].mean()))
    return (float(left) / mean / _STAYS) ** 2


def _pattern(
    at: Any, when: tuple[int, int, int], place: _Place, risen: Floats, patches: Floats
) -> float:
    """A pattern of its own: light shows the ground's, a thing hides it."""
    import cv2
    import numpy as np

    def detail(picture: Floats) -> Floats:
        out: Floats = (picture - np.asarray(cv2.blur(picture, (5, 5)), np.float32))[place.blob]
        return out

    shown, ground = detail(at(when[2])), detail((at(when[0] - 1) + at(when[1] + 1)) / 2)
    power = float((ground**2).mean())
    gain = float(np.clip((shown * ground).mean() / power, 0.2, 3.0)) if power > 1 else 1.0
    own = float(np.sqrt(((shown - gain * ground) ** 2).mean()))
    return (own / max(1.0, float(risen[place.blob].mean())) / _PATTERN) ** 2


def _uneven(
    at: Any, when: tuple[int, int, int], place: _Place, risen: Floats, patches: Floats
) -> float:
    """Parts of it lit before others: light is on at once, in all of its place."""
    import numpy as np

    a, b, top_at = when
    core = place.blob & (patches > 0.5 * place.top)
    low, span = np.maximum(at(a - 1), at(b + 1))[core], np.maximum(risen[core], 1.0)
    shares = np.stack([(at(k)[core] - low) / span for k in range(a - 2, b + 3)])
    parts = np.percentile(shares, (15, 50, 85), axis=1)
    level = parts[1, : top_at - a + 2]
    dark = np.flatnonzero(level <= 0.15)
    if (level[dark[-1] + 1 if len(dark) else 0 :] < 0.85).sum() > 1:
        # One frame may have been exposed for a part of it, not more.
        return 2 * LIMIT
    return float((float((parts[2] - parts[0]).max()) / _UNEVEN) ** 2)


def _beside(
    at: Any, when: tuple[int, int, int], place: _Place, risen: Floats, patches: Floats
) -> float:
    """The likest bright place just before and after, for a moment or for good: where it came from,
    where it went."""
    import numpy as np

    a, b, top_at = when
    lasted, lit = b - a + 1, at(top_at)
    near = place.around(1.0, 2, risen.shape)
    wide = place.around(0.0, 2 * max(place.box[2:]) + 8, risen.shape)
    brief = arrives = 0.0
    for k, turn, other in (
        (a - 1, (a - 1 - lasted, b), b + 1),
        (b + 1, (a, b + 1 + lasted), a - 1),
    ):
        here = at(k)
        moment = _smoothed((here - np.maximum(at(turn[0]), at(turn[1])))[wide])
        brief = max(brief, place.likeness(moment))
        arrives = max(arrives, place.likeness(_smoothed((here - np.maximum(lit, at(other)))[near])))
    return (brief / _BESIDE) ** 2 + (arrives / _ARRIVES) ** 2


def join(rises: Sequence[Rise]) -> list[Rise]:
    """One rise for each flash: those at the same time that touch are one, told by the clearest."""
    kept: list[Rise] = []
    for rise in sorted(rises, key=lambda one: (one.unlike, one.first)):
        for number, other in enumerate(kept):
            together = rise.first <= other.last and other.first <= rise.last
            if together and _touch(rise.box, other.box):
                x, y = min(rise.box[0], other.box[0]), min(rise.box[1], other.box[1])
                right = max(rise.box[0] + rise.box[2], other.box[0] + other.box[2])
                low = max(rise.box[1] + rise.box[3], other.box[1] + other.box[3])
                best = max(rise, other, key=lambda one: one.rise)
                kept[number] = Rise(
                    other.first, other.last, other.peak, (x, y, right - x, low - y),
                    max(rise.share, other.share), best.rise, best.noise, other.unlike, other.tiny,
                )  # fmt: skip
                break
        else:
            kept.append(rise)
    return sorted(kept, key=lambda one: (one.first, one.box))


def _touch(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two boxes meet, or nearly: a large glow falls apart over what is white already."""
    room = 3 + min(max(one[2:]), max(other[2:])) // 2
    return all(
        one[k] - room < other[k] + other[k + 2] and other[k] - room < one[k] + one[k + 2]
        for k in (0, 1)
    )
