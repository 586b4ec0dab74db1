"""What figures wear: textures around their limbs, front in the middle."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from .optics import font, generator, noise_field

__all__ = ["COLUMNS", "ROWS", "look_textures"]

COLUMNS, ROWS = 64, 48  # around and along a limb

_CIVIL = {  # jacket, trousers, hair (linear RGB albedo), hood
    "civil-1": ((0.20, 0.05, 0.045), (0.045, 0.055, 0.09), (0.05, 0.035, 0.025), False),
    "civil-2": ((0.30, 0.29, 0.27), (0.04, 0.045, 0.06), (0.09, 0.06, 0.035), False),
    "civil-3": ((0.05, 0.09, 0.14), (0.10, 0.09, 0.075), (0.03, 0.025, 0.02), True),
    "civil-4": ((0.22, 0.17, 0.07), (0.05, 0.05, 0.055), (0.16, 0.11, 0.06), False),
    "civil-5": ((0.08, 0.12, 0.08), (0.05, 0.06, 0.10), (0.05, 0.04, 0.03), True),
    "civil-6": ((0.17, 0.17, 0.18), (0.03, 0.03, 0.035), (0.04, 0.03, 0.025), False),
    "civil-7": ((0.10, 0.06, 0.12), (0.05, 0.06, 0.09), (0.06, 0.045, 0.03), True),
    "civil-8": ((0.26, 0.12, 0.05), (0.04, 0.04, 0.05), (0.03, 0.025, 0.02), False),
}


@lru_cache(maxsize=32)
def look_textures(seed: int, look: str) -> dict[str, np.ndarray | None]:
    """Cylinder textures (rows along, columns around, front in the middle; linear BGR) of a look."""
    rng = generator(seed, "look", look)
    cloth = 1 + 0.14 * noise_field(rng, ROWS, COLUMNS, (2, 6, 20), 0.8)[..., None]

    def plain(rgb: tuple[float, float, float]) -> np.ndarray:
        return (np.float32(rgb[::-1]) * cloth).astype(np.float32)

    skin = plain((0.36, 0.23, 0.16))
    dark = plain((0.018, 0.018, 0.02))
    made: dict[str, np.ndarray | None] = {
        "skin": skin,
        "hand": skin.copy(),
        "gun": dark,
        "gadget": dark,
        "helmet": None,
        "boot": plain((0.03, 0.028, 0.026)),
    }
    front = COLUMNS // 2
    head = skin.copy()
    if look.startswith("civil"):
        jacket, trousers, hair, hood = _CIVIL[look]
        made["arm"], made["leg"], made["trunk"] = plain(jacket), plain(trousers), plain(jacket)
        trunk = made["trunk"]
        trunk[:, front - 1 : front + 1] *= 0.45
        trunk[36:] = plain(trousers)[36:] * 0.8
        trunk[34:36] *= 0.5
        trunk[20:24, front - 14 : front - 6] *= 0.75
        trunk[20:24, front + 6 : front + 14] *= 0.75
        if look == "civil-2":
            trunk[12:16] *= 0.35
        if look == "civil-4":
            trunk[6:32, : front - 24] *= (0.5, 0.35, 0.35)
            trunk[6:32, front + 24 :] *= (0.5, 0.35, 0.35)
        cover = plain(jacket) * 0.9 if hood else plain(hair)
        around = np.abs(np.arange(COLUMNS) - front)
        head[:, around > (11 if hood else 14)] = cover[:, around > (11 if hood else 14)]
        head[: (13 if hood else 15)] = cover[: (13 if hood else 15)]
        head[21:24, front - 7 : front - 3] *= 0.3
        head[21:24, front + 3 : front + 7] *= 0.3
        made["boot"] = plain((0.16, 0.15, 0.14)) if look in ("civil-2", "civil-5") else made["boot"]
    else:
        dark_look = look.startswith("dark")
        base = (0.030, 0.031, 0.034) if dark_look else (0.035, 0.040, 0.052)
        made["arm"], made["trunk"] = plain(base), plain(base)
        made["leg"] = plain((0.040, 0.046, 0.060) if look == "dark-1" else base)
        made["hand"] = plain((0.02, 0.02, 0.022))
        head = plain((0.022, 0.022, 0.024))
        head[20:24, front - 9 : front + 10] = skin[20:24, front - 9 : front + 10]
        head[21:23, front - 6 : front - 3] *= 0.25
        head[21:23, front + 4 : front + 7] *= 0.25
        trunk = made["trunk"]
        if not dark_look:
            blotch = noise_field(rng, ROWS, COLUMNS, (7, 3), 0.5)
            for part in ("arm", "leg", "trunk"):
                made[part][blotch > 0.7] *= 1.9
                made[part][blotch < -0.8] *= 0.6
            trunk[6:32] = plain((0.020, 0.021, 0.024))[6:32]
            for left in (front - 15, front - 5, front + 6):
                trunk[18:27, left : left + 8] *= 1.9
                trunk[18:19, left : left + 8] *= 0.4
            trunk[32:35] = dark[32:35]
            trunk[32:35, front - 2 : front + 2] *= 6
            face = font(15)
            mask = face.getmask("МИЛИЦИЯ")
            letters = np.array(mask, np.float32).reshape(mask.size[::-1]) / 255
            letters = cv2.resize(letters, (26, 6), interpolation=cv2.INTER_AREA)
            back = np.roll(trunk, COLUMNS // 2, axis=1)
            area = back[10:16, front - 13 : front + 13]
            area += letters[..., None] * np.float32([0.5, 0.5, 0.5])
            made["trunk"] = np.roll(back, COLUMNS // 2, axis=1)
            made["leg"][20:27, front - 9 : front + 9] = dark[20:27, front - 9 : front + 9] * 1.6
            helmet = plain((0.045, 0.047, 0.055))
            helmet[4:9] *= 1.7
            around = np.abs(np.arange(COLUMNS) - front)
            visor = around < 15
            helmet[18:36, visor] = np.float32([0.11, 0.10, 0.085]) * cloth[18:36, visor]
            helmet[19:23, front - 10 : front + 3] = 0.30
            helmet[17:18, visor] *= 0.4
            helmet[36:] = head[36:]
            head = helmet
            made["helmet"] = helmet
            made["helmet"][14:16, front + 24 : front + 30] *= 3.0
        else:
            trunk[:, front - 1 : front + 1] *= 0.5
            trunk[33:35] *= 0.4
    made["head"] = np.ascontiguousarray(head)
    return made
