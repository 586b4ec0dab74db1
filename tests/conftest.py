"""What every test can rely on: no network, one thread, no screen, nobody's settings."""

from __future__ import annotations

import atexit
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUARD = Path(__file__).resolve().parent / "guard"

# Before numpy or OpenCV are imported: two test processes share two cores, and a result must not
# depend on how many.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
os.environ["MPLBACKEND"] = "Agg"

# A developer's own IPython start-up files and Jupyter settings are no part of a notebook test.
_SETTINGS = tempfile.mkdtemp(prefix="forensics-tests-")
atexit.register(shutil.rmtree, _SETTINGS, ignore_errors=True)
for _name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
    os.environ[_name] = os.path.join(_SETTINGS, _name.lower())

# The guard, for this process and for every Python it starts. Each xdist worker has a log of its
# own, and was started with the guard already in it.
_LOG = Path(_SETTINGS) / "network.log"
os.environ["FORENSICS_GUARD_LOG"] = str(_LOG)
os.environ.pop("FORENSICS_GUARD_LOOPBACK", None)
_paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != str(GUARD)]
os.environ["PYTHONPATH"] = os.pathsep.join([str(GUARD), *_paths])
if getattr(sys.modules.get("sitecustomize"), "__file__", None) != str(GUARD / "sitecustomize.py"):
    runpy.run_path(str(GUARD / "sitecustomize.py"))


def take_network_attempts() -> list[str]:
    """What the guard refused since the last call, in this process and its children."""
    if not _LOG.exists():
        return []
    lines = _LOG.read_text("utf-8").splitlines()
    _LOG.unlink()
    return lines


@pytest.fixture(autouse=True)
def _loopback_only_when_marked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets loopback through for tests marked `loopback`; fails a test that went further."""
    if request.node.get_closest_marker("loopback"):
        os.environ["FORENSICS_GUARD_LOOPBACK"] = "1"
    take_network_attempts()
    yield
    os.environ.pop("FORENSICS_GUARD_LOOPBACK", None)
    attempts = take_network_attempts()
    if attempts:
        pytest.fail("tried to reach the network:\n" + "\n".join(attempts), pytrace=False)


@pytest.fixture
def network_attempts() -> object:
    """A callable: what the guard refused so far in this test, which is then forgiven."""
    return take_network_attempts


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real recordings; skips without it.

    FORENSICS_MEDIA names it; otherwise it is ../shared/media beside the checkout.
    """
    named = os.environ.get("FORENSICS_MEDIA")
    folder = Path(named) if named else ROOT.parent / "shared" / "media"
    if not folder.is_dir():
        pytest.skip(
            "no real media here: set FORENSICS_MEDIA to the folder"
            if not named
            else f"FORENSICS_MEDIA names no folder: {named}"
        )
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Repeats what ./run found before the tests; pytest's closing line stays the last."""
    failed = os.environ.get("FORENSICS_CHECKS_FAILED", "").split()
    if failed:
        terminalreporter.write_line(
            f"FAILED before the tests (see above): {', '.join(failed)}", red=True
        )

pytest_plugins = ["making"]
