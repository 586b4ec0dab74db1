"""Media forensics for clips nobody vouches for, offline.

Four questions, each with its own modules:

=============================================  ==========================================
Is it one continuous recording?                `container`, `video`, `clock`, `continuity`,
                                               `enf`, and `edits`, which merges them
When did it happen, relative to the others?    `audio`, `events`, `copies`
What markings and vehicles are visible?        `insignia`, `vehicles`, `gallery`, `catalogue`
How do you know?                               `provenance`, `calibration`, `report`
=============================================  ==========================================

Start with `open_clip`, or `Incident.open` for a folder. Every ``find_*`` returns an
`forensics.model.Examination`: its outcome is *found*, *nothing-found*, *not-applicable* or
*failed*, and each of its findings carries its own origin and error rate. Evidence is only read.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# From 1.29 on, ONNX Runtime's wheels report their use to Microsoft unless this is set before they
# are first imported; the call that is meant to switch it off comes too late. Neither who examines
# something nor when is anybody's business, so this is not a default but an order.
for _name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):
    os.environ[_name] = "1"

# OpenBLAS's threads look out for work through 2^26 ticks of the clock before they sleep, and again
# after every product: a core for 30 ms, each time NumPy is loaded. Who set it otherwise is obeyed.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")

if TYPE_CHECKING:
    from forensics.clip import open_clip
    from forensics.gallery import Gallery
    from forensics.incident import Incident
    from forensics.provenance import Ledger

__version__ = "0.1.0"

_OBJECTS = {
    "Gallery": "forensics.gallery",
    "Incident": "forensics.incident",
    "Ledger": "forensics.provenance",
    "open_clip": "forensics.clip",
}
_MODULES = frozenset(
    """audio batch calibration catalogue clip clock container continuity copies edits enf errors
    events exchange gallery incident insignia model player plots provenance redact report scan
    sync tools vehicles video""".split()
)

__all__ = ["Gallery", "Incident", "Ledger", "__version__", "open_clip"]


def __getattr__(name: str) -> Any:
    # A deferred import: a notebook that only opens a clip must not wait for OpenCV and SciPy.
    if name in _OBJECTS:
        return getattr(importlib.import_module(_OBJECTS[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"forensics.{name}")
    raise AttributeError(f"module 'forensics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_OBJECTS, *_MODULES})
