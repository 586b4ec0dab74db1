"""The rules of the house, as functions that return complaints; test_house.py applies them."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "forensics"

#: The floors, lowest first. A module imports from lower floors only: not from its own, never from
#: above.
FLOORS = (
    "errors",
    "model",
    "tools calibration",
    "provenance",
    "boxes",
    "clip",
    "scan gallery",
    "detector",
    "container video clock events continuity enf insignia vehicles redact",
    "sync",
    "edits audio copies",
    "incident",
    "catalogue plots player exchange",
    "report batch",
    "cli",
)
FLOOR_OF = {noun: n for n, row in enumerate(FLOORS) for noun in row.split()}
METHODS = [
    n for n, floor in FLOOR_OF.items() if FLOOR_OF["container"] <= floor <= FLOOR_OF["edits"]
]
DOORSTEP = ("__init__", "__main__")  # above every floor; the package's own map imports on demand

HEAVY = frozenset(
    "av cv2 scipy skimage matplotlib pandas onnxruntime soundfile rapidocr dask distributed typst"
    " docx anywidget IPython opentimelineio pympi c2pa rfc3161_client imageio_ffmpeg ffmpeg".split()
)
NETWORK = frozenset(
    "socket ssl http urllib3 requests ftplib smtplib telnetlib xmlrpc httpx aiohttp".split()
)
VAGUE = frozenset("util utils common helper helpers manager managers base misc core lib".split())
MAX_LINES = 500

# A line that must name one of these words to forbid it, quote it or test for it says so: "lint:
# mention" on it or on the line before.
MENTION = "lint: mention"
FORBIDDEN = re.compile(
    r"\b(in)?authentic(ity|ally)?\b|\bfak(e|es|ed|ery|ing)\b|\bgenuine(ly|ness)?\b|\bprove[sdn]\b|\bproving\b"
    r"|\b(не)?подлинн\w*|\bфальшив\w*|\bфейк\w*|\bподдел(к|ьн)\w*|\bдоказан\w*|\bфэйк\w*|\bпадроб\w*",
    re.IGNORECASE,
)
FACE_DETECTOR = re.compile(
    r"centerface|FaceDetector|haarcascade\w*face|yunet|retinaface|blazeface|mtcnn|scrfd|face_detection",
    re.IGNORECASE,
)
# There is no file in which these may stand: they tell one face from another.
FACE_RECOGNITION = re.compile(
    r"FaceRecognizer|arcface|facenet|insightface|deepface|face_recognition|face_embedding|cosface|vggface",
    re.IGNORECASE,
)
# Split so that this file does not find itself.
MACHINE_PATH = re.compile(
    r"(?<![\w.])/" + r"(?:root|work|home/\w+|Users/\w+|mnt/\w+|tmp/w)/" + r"|[A-Z]:\\Users"
)
INDEX_OPTION = re.compile(r"--(?:extra-)?index-url|--find-links|^\s*index-url\s*=", re.MULTILINE)
PRIVATE_HOST = re.compile(
    r"https?://(?:[\w.-]*\.)?(?:(?:artifactory|nexus|devpi|pypi-?mirror|registry)[\w.-]*|[\w-]+\.(?:internal|corp|lan|intra))\b"
    r"|https?://(?:10|172\.(?:1[6-9]|2\d|3[01])|192\.168)\.\d"
)


OUTSIDE = re.compile(
    r"(?:src|poster|data)\s*=\s*[\"']?(?:https?:)?//|@import|url\(\s*[\"']?(?:https?:)?//|<link[^>]+https?:"
)


# ---------------------------------------------------------------- the tree


def noun_of(module: str) -> str:
    """`container_grid` and `container.grid` are parts of `container`, just below it."""
    return (
        re.split(r"[._]", module.lstrip("_"), maxsplit=1)[0] if module not in DOORSTEP else module
    )


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def package_files() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


def tracked_files() -> list[Path]:
    """What git tracks or would; without git, everything that no tool made."""
    if shutil.which("git") and (ROOT / ".git").exists():
        out = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"],
            capture_output=True,
            check=True,
        ).stdout
        names = [os.fsdecode(n) for n in out.split(b"\0") if n]
        return [ROOT / n for n in names if (ROOT / n).is_file()]
    made = {".git", ".venv", ".hypothesis", "demo", "build", "dist", "__pycache__"}
    return [
        p
        for p in sorted(ROOT.rglob("*"))
        if p.is_file()
        and not made & set(p.relative_to(ROOT).parts)
        and not any(part.endswith("_cache") for part in p.parts)
    ]


def text_of(path: Path) -> str | None:
    data = path.read_bytes()
    if b"\0" in data[:8192]:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def place(path: Path, line: int | None = None) -> str:
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return f"{name}:{line}" if line else f"{name}"


# ---------------------------------------------------------------- rules on one module's source


def imports(tree: ast.Module, module: str) -> Iterator[tuple[int, str]]:
    """(line, dotted module) for every import, deferred and TYPE_CHECKING ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            head = node.module or ""
            if node.level:
                up = ["forensics", *module.split(".")][: -node.level]
                head = ".".join([*up, *([node.module] if node.module else [])])
            if head == "forensics":
                for alias in node.names:
                    yield node.lineno, f"forensics.{alias.name}"
            else:
                yield node.lineno, head
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", ""))
            in ("import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def check_import_order(tree: ast.Module, module: str, path: Path) -> list[str]:
    if module in DOORSTEP:
        return []
    noun, complaints = noun_of(module), []
    if noun not in FLOOR_OF:
        return [f"{place(path)}: {noun} is on no floor (FLOORS in tests/house.py, DESIGN)"]
    for line, target in imports(tree, module):
        if target != "forensics" and not target.startswith("forensics."):
            continue
        inner = target.removeprefix("forensics").lstrip(".")
        if not inner or inner.startswith("__"):
            complaints.append(
                f"{place(path, line)}: the package's own __init__ is above every floor"
            )
            continue
        other = noun_of(inner)
        if other not in FLOOR_OF:
            if inner.split(".")[0] == "data":
                continue
            complaints.append(f"{place(path, line)}: forensics.{inner} is on no floor")
        elif other == noun:
            if inner == noun and module != noun:
                complaints.append(f"{place(path, line)}: a part is below its noun, {noun}")
        elif FLOOR_OF[other] >= FLOOR_OF[noun]:
            way = "sideways" if FLOOR_OF[other] == FLOOR_OF[noun] else "from above"
            complaints.append(f"{place(path, line)}: {module} imports {inner} {way}")
    return complaints


def check_heavy_imports(tree: ast.Module, module: str, path: Path) -> list[str]:
    """Heavy packages go inside the function that needs them."""
    complaints = []

    def visit(body: Iterable[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = (
                    [a.name for a in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                )
                complaints.extend(
                    f"{place(path, node.lineno)}: {name} belongs inside the function that needs it"
                    for name in names
                    if name.split(".")[0] in HEAVY
                )
            elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
                visit([*node.body, *node.orelse])
            elif isinstance(node, ast.Try):
                visit([*node.body, *node.orelse, *node.finalbody])
            elif isinstance(node, ast.ClassDef):
                visit(node.body)

    visit(tree.body)
    return complaints


def check_doors(tree: ast.Module, module: str, path: Path) -> list[str]:
    """One door each: programs in tools (and batch), findings in provenance, no network."""
    noun, complaints = noun_of(module), []
    for line, target in imports(tree, module):
        head = target.split(".")[0]
        if head == "subprocess" and noun not in ("tools", "batch"):
            complaints.append(f"{place(path, line)}: only tools starts programs")
        if head in NETWORK or target.startswith("urllib.request"):
            complaints.append(f"{place(path, line)}: {target}: the library calls nobody")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called == "print":
            complaints.append(f"{place(path, node.lineno)}: print")
        if (
            re.fullmatch(r"os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*)", called)
            and noun != "tools"
        ):
            complaints.append(f"{place(path, node.lineno)}: only tools starts programs")
        if called.split(".")[-1] == "Finding" and noun not in ("provenance", "model"):
            complaints.append(
                f"{place(path, node.lineno)}: only provenance.conclude makes a Finding"
            )
        if called.endswith("VideoCapture"):
            complaints.append(f"{place(path, node.lineno)}: only scan decodes")
    return complaints


def is_passed_on(handler: ast.ExceptHandler) -> bool:
    """Cleaning up and raising again swallows nothing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def check_blind_except(tree: ast.Module, module: str, path: Path) -> list[str]:
    blind = {"Exception", "BaseException"}
    complaints = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ExceptHandler) and not is_passed_on(node):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = [ast.unparse(c).split(".")[-1] if c else "BaseException" for c in caught]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            names = [ast.unparse(a) for a in node.args]
        if blind & set(names) and noun_of(module) != "batch":
            complaints.append(f"{place(path, node.lineno)}: catches everything; only batch may")
    return complaints


def check_all(tree: ast.Module, module: str, path: Path) -> list[str]:
    if module == "__main__":
        return []
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            return []
    return [f"{place(path)}: no __all__"]


def check_docstrings(tree: ast.Module, module: str, path: Path) -> list[str]:
    complaints = [] if ast.get_docstring(tree) else [f"{place(path)}: the module has no docstring"]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_overload = any(ast.unparse(d).endswith("overload") for d in node.decorator_list)
            if not node.name.startswith("_") and not is_overload and not ast.get_docstring(node):
                complaints.append(f"{place(path, node.lineno)}: {node.name} has no docstring")
    return complaints


def check_names(tree: ast.Module, module: str, path: Path) -> list[str]:
    vague = VAGUE & set(re.split(r"[._]", module))
    return [f"{place(path)}: a module is named by its noun, not {w!r}" for w in sorted(vague)]


def check_length(source: str, module: str, path: Path) -> list[str]:
    lines = len(source.splitlines())
    return [f"{place(path)}: {lines} lines; split it by noun"] if lines > MAX_LINES else []


def lines_with(pattern: re.Pattern[str], source: str) -> Iterator[tuple[int, str]]:
    previous = ""
    for number, line in enumerate(source.splitlines(), start=1):
        hit = pattern.search(line)
        if hit and MENTION not in line and MENTION not in previous:
            yield number, hit.group()
        previous = line


def check_words(source: str, module: str, path: Path) -> list[str]:
    return [
        f"{place(path, n)}: {word!r}: say consistent, inconsistent, inconclusive"
        for n, word in lines_with(FORBIDDEN, source)
    ]


def check_faces(source: str, module: str, path: Path) -> list[str]:
    complaints = [
        f"{place(path, n)}: {w}: no face is ever told from another"
        for n, w in lines_with(FACE_RECOGNITION, source)
    ]
    if noun_of(module) != "redact":
        complaints += [
            f"{place(path, n)}: {w}: only redact detects faces"
            for n, w in lines_with(FACE_DETECTOR, source)
        ]
    return complaints


TREE_RULES = [
    check_import_order,
    check_heavy_imports,
    check_doors,
    check_blind_except,
    check_all,
    check_docstrings,
    check_names,
]
TEXT_RULES = [check_length, check_words, check_faces]
