"""The machine the appendix was written on: what computes, what is missing, what is enforced."""

from __future__ import annotations

import hashlib
import locale
import os
import platform
import tomllib
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path

from forensics.errors import ToolError
from forensics.model import Value
from forensics.tools import find_tool, run_tool

__all__ = ["Environment", "read_environment"]

_PACKAGES = (
    "forensics", "numpy", "scipy", "av", "opencv-python-headless", "scikit-image", "msgspec",
    "pillow", "soundfile", "onnxruntime", "rapidocr", "jinja2", "typst", "python-docx",
    "imageio-ffmpeg", "exiftool-wrapper", "matplotlib", "pandas",
)  # fmt: skip
_TOOLS = ("exiftool", "ffmpeg", "tesseract", "ssh-keygen", "openssl")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class Program(Value, frozen=True):
    """A program outside this library; `missing` says how to get it."""

    name: str
    version: str = ""
    sha256: str = ""
    missing: str = ""


class ModelFile(Value, frozen=True):
    """A trained model that ships with the library."""

    name: str
    sha256: str
    licence: str


class Environment(Value, frozen=True):
    """What the results may depend on."""

    system: str
    kernel: str
    processor: str
    cpus: int
    python: str
    commit: str
    dirty: bool | None
    packages: dict[str, str]
    ffmpeg_libraries: dict[str, str]
    programs: tuple[Program, ...]
    models: tuple[ModelFile, ...]
    locale: str
    time_zone: str
    threads: dict[str, str]


def read_environment() -> Environment:
    """Look at this machine; nothing here starts a measurement."""
    import av

    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    commit, dirty = _commit()
    system = platform.system()
    if system == "Linux":
        with_name = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
        system = with_name.get("PRETTY_NAME", system)
    return Environment(
        system=system, kernel=f"{platform.system()} {platform.release()}",
        processor=_processor(), cpus=os.cpu_count() or 0,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        commit=commit, dirty=dirty, packages=packages,
        ffmpeg_libraries={
            name: ".".join(map(str, version)) for name, version in av.library_versions.items()
        },
        programs=tuple(_program(name) for name in _TOOLS), models=tuple(_models()),
        locale=locale.setlocale(locale.LC_CTYPE),
        time_zone=datetime.now(UTC).astimezone().strftime("%Z (UTC%z)"),
        threads={name: os.environ[name] for name in _THREADS if name in os.environ},
    )  # fmt: skip


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({platform.machine()})"
    return platform.machine()


def _program(name: str) -> Program:
    try:
        tool = find_tool(name)
    except ToolError as error:
        return Program(name, missing=f"{error.message}; {error.hint}")
    return Program(name, tool.version, tool.digest)


def _commit() -> tuple[str, bool | None]:
    root = Path(__file__).resolve().parent.parent
    try:
        # Inside somebody else's checkout git would answer about that one.
        run_tool("git", ["-C", str(root), "ls-files", "--error-unmatch", "forensics/report.py"])
        commit = run_tool("git", ["-C", str(root), "rev-parse", "HEAD"]).decode().strip()
        changed = run_tool("git", ["-C", str(root), "status", "--porcelain", "--", "forensics"])
    except ToolError:
        return "", None
    return commit, bool(changed.strip())


def _models() -> list[ModelFile]:
    folder = Path(str(resources.files("forensics").joinpath("data/models")))
    found = []
    for path in sorted(folder.glob("*.onnx")):
        note = path.with_suffix(".toml")
        licence = ""
        if note.is_file():
            table = tomllib.loads(note.read_text("utf-8"))
            licence = str(table.get("licence", table.get("license", "")))
        found.append(ModelFile(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), licence))
    return found
