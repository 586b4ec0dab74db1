"""What a crop looks like, in so few numbers that a hundred thousand can be gone through at once.

Orientation histograms of the whole crop (Dalal and Triggs 2005) with a little of its colour. They
rank; they never decide: details in one geometry are compared afterwards. Only markings and
vehicles are described. Balaclavas are left out, for a head is in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.provenance import Ledger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LOOKS", "describe", "read_looks", "write_looks"]

#: Named in the catalogue: vectors of another kind are not taken over.
LOOKS = "orientation histograms 1"
#: How much the crop that was kept is wider than the box, in longer sides, on each side.
_MARGIN = {"sighting": 0.15, "vehicle-sighting": 0.05}
_LEFT_OUT = ("balaclava", "plate", "lettering", "shield-number", "helmet-number")
_SIDE, _CELLS, _TURNS = 32, 4, 8
_COLOUR = 0.35
_BATCH = 512


def _small(rgb: NDArray[np.uint8], margin: float) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    height, width = rgb.shape[:2]
    cut = margin / (1 + 2 * margin) * max(height, width)
    x, y = min(int(cut), width // 4), min(int(cut), height // 4)
    inner = rgb[y : height - y, x : width - x]
    return np.asarray(cv2.resize(inner, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def describe(crops: Sequence[NDArray[np.uint8]], margins: Sequence[float]) -> NDArray[np.int8]:
    """Describe crops, each (h, w, 3) uint8 RGB: (n, d) int8, of about one length.

    Parameters
    ----------
    crops
        At least one.
    margins
        What lies around the marking in each crop, in longer sides of the marking.
    """
    import cv2
    import numpy as np

    small = np.stack([_small(c, m) for c, m in zip(crops, margins, strict=True)])
    flat = cv2.cvtColor(small.reshape(-1, _SIDE, 3), cv2.COLOR_RGB2Lab)
    lab = flat.reshape(len(small), _SIDE, _SIDE, 3).astype(np.float32)
    grey = lab[..., 0]
    down, across = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(across, down)
    turn = (np.arctan2(down, across) / (2 * np.pi) * _TURNS) % _TURNS
    low = np.floor(turn).astype(np.int64) % _TURNS
    share = turn - np.floor(turn)
    bins = np.zeros((*grey.shape, _TURNS), np.float32)
    np.put_along_axis(bins, low[..., None], (strength * (1 - share))[..., None], axis=3)
    upper = np.zeros_like(bins)
    np.put_along_axis(upper, (low[..., None] + 1) % _TURNS, (strength * share)[..., None], axis=3)
    # Cells overlap: what moves by a pixel must not change cells at once.
    centres = (np.arange(_CELLS) + 0.5) * _SIDE / _CELLS - 0.5
    reach = np.abs(np.arange(_SIDE)[:, None] - centres[None]) * _CELLS / _SIDE
    weight = np.clip(1 - reach, 0, None).astype(np.float32)
    cells = np.einsum("nyxt,ya,xb->nabt", bins + upper, weight, weight, optimize=True)
    shape = np.sqrt(cells.reshape(len(small), -1))
    shape /= np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1e-6)
    tint = np.einsum("nyxc,ya,xb->nabc", lab[..., 1:] - 128, weight, weight, optimize=True)
    tint = tint.reshape(len(small), -1)
    tint /= np.maximum(np.linalg.norm(tint, axis=1, keepdims=True), 4.0 * _SIDE)
    both = np.concatenate([shape, _COLOUR * tint], axis=1) / np.sqrt(1 + _COLOUR**2)
    quantised: NDArray[np.int8] = np.clip(np.round(both * 254), -127, 127).astype(np.int8)
    return quantised


def _kept(place: Path) -> dict[str, bytes]:
    """What an earlier catalogue at this place already described, by the crop's SHA-256."""
    if not place.is_file():
        return {}
    found: dict[str, bytes] = {}
    uri = f"{place.absolute().as_uri()}?mode=ro"
    try:
        base = sqlite3.connect(uri, uri=True)
    except sqlite3.Error:
        return {}
    try:
        said = base.execute("SELECT value FROM about WHERE key = 'looks'").fetchone()
        if said is None or said[0] != LOOKS:
            return {}
        digests = dict(base.execute("SELECT number, artefact FROM findings WHERE artefact <> ''"))
        for numbers, vectors in read_looks(base):
            for number, vector in zip(numbers.tolist(), vectors, strict=True):
                found[digests[number]] = vector.tobytes()
    except (sqlite3.Error, KeyError, ValueError):
        # Whatever stood there is being replaced; nothing is owed to it.
        return {}
    finally:
        base.close()
    return found


def write_looks(base: sqlite3.Connection, ledger: Ledger, earlier: Path) -> None:
    """Describe every crop whose bytes are at hand; crops known to `earlier` are taken over."""
    import numpy as np

    known = _kept(earlier)
    absent = ", ".join("?" * len(_LEFT_OUT))
    rows = base.execute(
        "SELECT number, type, artefact FROM findings WHERE artefact <> '' "
        f"AND type IN ('sighting', 'vehicle-sighting') AND kind NOT IN ({absent}) "
        "AND absence = '' ORDER BY number",
        _LEFT_OUT,
    ).fetchall()
    fresh = {digest: kind for _, kind, digest in rows if digest not in known}
    missing = 0
    batch: list[tuple[str, Any, float]] = []

    def finish() -> None:
        vectors = describe([b[1] for b in batch], [b[2] for b in batch])
        known.update({b[0]: v.tobytes() for b, v in zip(batch, vectors, strict=True)})
        batch.clear()

    for digest, kind in fresh.items():
        crop = _crop(ledger.artefacts / f"{digest}.png")
        if crop is None:
            missing += 1
            continue
        batch.append((digest, crop, _MARGIN[kind]))
        if len(batch) == _BATCH:
            finish()
    if batch:
        finish()
    shown = [(number, known[digest]) for number, _, digest in rows if digest in known]
    for part in range(0, len(shown), 8192):
        piece = shown[part : part + 8192]
        numbers = np.array([number for number, _ in piece], "<i4").tobytes()
        base.execute(
            "INSERT INTO looks VALUES (?, ?, ?)",
            (part // 8192, numbers, b"".join(vector for _, vector in piece)),
        )
    base.executemany(
        "INSERT INTO about VALUES (?, ?)",
        [("looks", LOOKS), ("crops that are not at hand", str(missing))],
    )


def _crop(path: Path) -> Any:
    import cv2
    import numpy as np

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    shown = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return None if shown is None else shown[..., ::-1]


def read_looks(
    base: sqlite3.Connection,
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int8]]]:
    """Numbers of findings, and their vectors (n, d), part by part."""
    import numpy as np

    for numbers, vectors in base.execute("SELECT numbers, vectors FROM looks ORDER BY part"):
        listed = np.frombuffer(numbers, "<i4")
        yield listed, np.frombuffer(vectors, np.int8).reshape(len(listed), -1)
