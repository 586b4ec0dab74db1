"""Shadows that figures cast, told from the figures: darker ground with a soft rim.

A shadow joins a figure at its feet and would move the foot that decides where it stands. Pure
functions of arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

__all__ = ["is_shadow"]

#: A patch of even darkening of whose edge more than this share is sharp is no shadow.
_SHARP_EDGE = 0.5
#: How uneven, as a share of the ground's brightness, a soft rim may be (less by this share for each
#: pixel of smoothing, which softens outlines too), and times the noise.
_SOFT_EDGE, _SOFTER, _SOFT_NOISE = 0.04, 0.35, 2.5


def is_shadow(
    now: Floats, level: Floats, moving: NDArray[np.bool_], blur_px: float
) -> NDArray[np.bool_]:
    """Where the ground shows through, only darker: its texture in step, its level lowered.

    Parameters
    ----------
    now, level
        (h, w) grey levels of a frame at the background's exposure, and of the background.
    moving
        (h, w), where they differ.
    blur_px
        By how much both were smoothed.

    When it errs
    ------------
    A coat somewhat darker than plain ground whose outline is blurred (by noise reduction, by a
    codec) is taken for a shadow; a shadow with a sharp rim for a coat.
    """
    import cv2
    import numpy as np

    def mean(picture: Floats) -> Floats:
        out: Floats = cv2.boxFilter(picture, -1, (5, 5)).astype(np.float32)
        return out

    a, b = np.asarray(now, np.float32), np.asarray(level, np.float32)
    ma, mb = mean(a), mean(b)
    va, vb = mean(a * a) - ma * ma, mean(b * b) - mb * mb
    together = mean(a * b) - ma * mb
    ratio = ma / np.maximum(mb, 1.0)
    alike = (together > 0.7 * np.sqrt(np.maximum(va * vb, 1e-3))) & (vb > 6.0)
    # On plain ground the texture says nothing; there a shadow is an even darkening with a soft
    # rim: little is left over by a tilted plane through the window.
    share = a / np.maximum(b, 4.0)
    uneven = np.maximum(mean(share * share) - mean(share) ** 2 - _tilt(share), 0)
    # The sensor's noise weighs the more the darker it is; most of the picture shows only that.
    bright = np.maximum(mb, 8.0) ** 2
    noise = float(np.median((uneven * bright)[::4, ::4]))
    rim = _SOFT_EDGE / (1 + _SOFTER * blur_px)
    soft = uneven < rim**2 + _SOFT_NOISE * noise / bright
    darker = (ratio > 0.42) & (ratio < 0.98)
    even = soft & (ratio > 0.5)
    return _open_edged(darker & moving & (alike | even), ~soft)


def _tilt(share: Floats) -> Floats:
    """The part of the variance in a window of 5 x 5 that a tilted plane explains."""
    import cv2
    import numpy as np

    ramp = np.array([-2, -1, 0, 1, 2], np.float32) / 10
    flat = np.full(5, 0.2, np.float32)
    across = cv2.sepFilter2D(share, -1, ramp, flat)
    down = cv2.sepFilter2D(share, -1, flat, ramp)
    # Along each axis the places of the window have a variance of two.
    out: Floats = 2 * (across * across + down * down)
    return out


def _open_edged(dark: NDArray[np.bool_], sharp: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Patches whose edge is mostly soft: one with a sharp outline is a plain coat, not a shadow."""
    import cv2
    import numpy as np

    count, labels = cv2.connectedComponents(dark.astype(np.uint8), connectivity=4)
    if count < 2:
        return dark
    around = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
    ring = (labels == 0) & (around > 0)
    whole = np.bincount(around[ring], minlength=count)
    hard = np.bincount(around[ring & sharp], minlength=count)
    stays = hard <= _SHARP_EDGE * whole
    stays[0] = False
    out: NDArray[np.bool_] = stays[labels]
    return out
