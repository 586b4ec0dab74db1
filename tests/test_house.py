"""The rules of the house: what a module may import, name, hold and say (see CONTRIBUTING.md).

Each rule of house.py is tested on a made-up offender as well as on the tree, so that no rule can
pass by having stopped looking.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from house import (
    INDEX_OPTION,
    MACHINE_PATH,
    METHODS,
    OUTSIDE,
    PACKAGE,
    PRIVATE_HOST,
    ROOT,
    TEXT_RULES,
    TREE_RULES,
    check_all,
    check_blind_except,
    check_docstrings,
    check_doors,
    check_faces,
    check_heavy_imports,
    check_import_order,
    check_names,
    check_words,
    imports,
    lines_with,
    module_name,
    noun_of,
    package_files,
    place,
    text_of,
    tracked_files,
)


@pytest.mark.parametrize("rule", TREE_RULES, ids=lambda r: r.__name__)
def test_every_module_keeps(rule: Callable[[ast.Module, str, Path], list[str]]) -> None:
    files = package_files()
    assert files
    complaints = [
        c for p in files for c in rule(ast.parse(p.read_text("utf-8")), module_name(p), p)
    ]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("rule", TEXT_RULES, ids=lambda r: r.__name__)
def test_every_source_keeps(rule: Callable[[str, str, Path], list[str]]) -> None:
    complaints = [c for p in package_files() for c in rule(p.read_text("utf-8"), module_name(p), p)]
    assert not complaints, "\n".join(complaints)


OFFENDERS = [
    (check_import_order, "events", "from forensics.audio import align_clips"),
    (check_import_order, "events", "def f():\n    from forensics import video"),
    (check_import_order, "events", "if TYPE_CHECKING:\n    import forensics.incident"),
    (check_import_order, "events_onset", "from forensics.events import find_events"),
    (check_import_order, "events", "from forensics.video_cuts import x"),
    (check_import_order, "events", "from .incident import Incident"),
    (check_import_order, "events", "from . import audio"),
    (check_import_order, "events", "import importlib\nimportlib.import_module('forensics.cli')"),
    (check_import_order, "events", "import forensics"),
    (check_import_order, "gossip", ""),
    (check_heavy_imports, "events", "import scipy.signal"),
    (
        check_heavy_imports,
        "events",
        "try:\n    from cv2 import dnn\nexcept ImportError:\n    dnn = None",
    ),
    (check_doors, "events", "import subprocess"),
    (check_doors, "events", "def f():\n    import os\n    os.system('true')"),
    (check_doors, "events", "from urllib.request import urlopen"),
    (check_doors, "events", "print('x')"),
    (check_doors, "events", "model.Finding(1)"),
    (check_doors, "events", "cv2.VideoCapture('x')"),
    (check_blind_except, "events", "try:\n    f()\nexcept (KeyError, Exception):\n    pass"),
    (check_blind_except, "events", "try:\n    f()\nexcept:\n    pass"),
    (check_blind_except, "events", "with contextlib.suppress(Exception):\n    f()"),
    (check_all, "events", "x = 1"),
    (check_docstrings, "events", "'''doc'''\ndef f():\n    pass"),
    (check_docstrings, "events", "x = 1"),
    (check_names, "audio_utils", ""),
]
INNOCENT = [
    (
        check_import_order,
        "events",
        "from forensics.scan import scan\nfrom forensics.events_onset import x",
    ),
    (
        check_import_order,
        "events_onset",
        "from forensics.events_window import x\nimport forensics.model_said",
    ),
    (check_import_order, "events", "import numpy\nfrom forensics import scan, errors"),
    (
        check_heavy_imports,
        "events",
        "import numpy\nif TYPE_CHECKING:\n    import pandas\ndef f():\n    import cv2",
    ),
    (check_doors, "tools_run", "import subprocess"),
    (check_doors, "provenance", "Finding(1)"),
    (check_blind_except, "batch", "try:\n    f()\nexcept Exception:\n    pass"),
    (check_blind_except, "events", "try:\n    f()\nexcept KeyError:\n    pass"),
    (check_blind_except, "tools", "try:\n    f()\nexcept BaseException:\n    g()\n    raise"),
    (check_all, "events", "__all__: list[str] = []"),
]


@pytest.mark.parametrize(("rule", "module", "source"), OFFENDERS)
def test_an_offender_is_seen(
    rule: Callable[[ast.Module, str, Path], list[str]], module: str, source: str
) -> None:
    assert rule(ast.parse(source), module, Path("made_up.py"))


@pytest.mark.parametrize(("rule", "module", "source"), INNOCENT)
def test_an_innocent_is_left_alone(
    rule: Callable[[ast.Module, str, Path], list[str]], module: str, source: str
) -> None:
    assert not rule(ast.parse(source), module, Path("made_up.py"))


def test_parts_of_one_noun_do_not_import_in_a_circle() -> None:
    below: dict[str, set[str]] = {}
    for path in package_files():
        module = module_name(path)
        targets = {
            t.removeprefix("forensics.")
            for _, t in imports(ast.parse(path.read_text("utf-8")), module)
        }
        below[module] = {t for t in targets if noun_of(t) == noun_of(module) and t != module}

    def climb(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        for target in below.get(module, ()):
            climb(target, (*path, module))

    for module in below:
        climb(module, ())


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("the clip is authentic", True),
        ("this proves nothing", True),
        ("FAKE", True),
        ("запись подлинная", True),
        ("authentication, ProofMode, prove, to approve", False),
        ("what the ministry calls fake <!-- lint: mention -->", False),
        ("# lint: mention\nfake", False),
        ("# lint: mention\n\nfake", True),
    ],
)
def test_the_words_are_seen(text: str, is_seen: bool) -> None:
    assert bool(check_words(text, "events", Path("made_up.py"))) is is_seen


def test_face_detectors_are_seen() -> None:
    source = "cv2.FaceDetectorYN.create('centerface.onnx')"
    assert check_faces(source, "vehicles", Path("made_up.py"))
    assert not check_faces(source, "redact_faces", Path("made_up.py"))
    assert check_faces("cv2.FaceRecognizerSF", "redact", Path("made_up.py"))


# ---------------------------------------------------------------- rules on the modules as imported


def modules() -> Iterator[tuple[str, ModuleType]]:
    for path in package_files():
        name = module_name(path)
        if name != "__main__":
            yield (
                name,
                importlib.import_module("forensics" if name == "__init__" else f"forensics.{name}"),
            )


def test_every_name_in_all_exists_once() -> None:
    complaints = []
    for name, module in modules():
        names = list(module.__all__)
        complaints += [
            f"{name}: {n} twice" for n in sorted({n for n in names if names.count(n) > 1})
        ]
        complaints += [f"{name}: {n} does not exist" for n in names if not hasattr(module, n)]
    assert not complaints, "\n".join(complaints)


def public_functions(module: ModuleType) -> Iterator[tuple[str, Callable[..., object]]]:
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value) and not inspect.isclass(value) and not inspect.ismodule(value):
            yield name, value


def test_every_method_says_when_it_errs() -> None:
    complaints = []
    for noun in METHODS:
        if not ((PACKAGE / f"{noun}.py").exists() or (PACKAGE / noun).is_dir()):
            continue
        for name, function in public_functions(importlib.import_module(f"forensics.{noun}")):
            doc = inspect.getdoc(function) or ""
            found = re.search(r"^When it errs\n-{12}\n(.+)", doc, re.MULTILINE)
            if not found:
                complaints.append(f"{noun}.{name}: its docstring has no section 'When it errs'")
    assert not complaints, "\n".join(complaints)


def test_every_parameter_is_explained() -> None:
    complaints = []
    for path in sorted(PACKAGE.glob("*.py")):
        if path.stem in ("__init__", "__main__"):
            continue
        module = importlib.import_module(f"forensics.{path.stem}")
        for name, function in public_functions(module) if hasattr(module, "__all__") else ():
            doc = inspect.getdoc(function) or ""
            section = re.search(
                r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", doc, re.MULTILINE | re.DOTALL
            )
            if section is None or function.__module__ != module.__name__:
                continue
            # numpydoc: names at the margin, several of them parted by commas.
            heads = re.findall(r"^(\S.*)$", section[1], re.MULTILINE)
            told = {word.strip(" *") for head in heads for word in head.split(":")[0].split(",")}
            taken = set(inspect.signature(function).parameters)
            if told != taken:
                which = ", ".join(sorted(told ^ taken))
                complaints.append(f"{path.stem}.{name}: the docstring and the parameters: {which}")
    assert not complaints, "\n".join(complaints)


def import_cost_s(module: str, tries: int = 5) -> float:
    """The least of several fresh processes: anything above it is the machine's business."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
        )
        for _ in range(tries)
    ]
    return min(float(r.stdout) for r in runs)


def test_importing_is_quick() -> None:
    ours, numpys = import_cost_s("forensics"), import_cost_s("numpy")
    assert ours < 3 * numpys, f"import forensics {ours:.3f} s, import numpy {numpys:.3f} s"


# ---------------------------------------------------------------- rules on everything tracked


def test_what_is_said_to_people_keeps_the_words() -> None:
    """Templates, read-me files, notebooks: wherever a person reads a conclusion."""
    complaints = []
    for path in tracked_files():
        relative = path.relative_to(ROOT)
        said = (
            relative.parts[0] in ("forensics", "notebooks", "samples")
            and path.suffix
            in (".html", ".j2", ".typ", ".js", ".mjs", ".ipynb", ".md", ".txt", ".toml", ".csv")
        ) or relative.name in ("README.md", "CHANGELOG.md")
        source = text_of(path) if said else None
        if (
            source is not None
            and "LICENSE" not in path.name.upper()
            and "NOTICE" not in path.name.upper()
        ):
            complaints += check_words(source, "", path)
    assert not complaints, "\n".join(complaints)


def test_nothing_names_a_machine_or_an_index() -> None:
    complaints = []
    for path in tracked_files():
        source = text_of(path)
        if source is None:
            continue
        for pattern, what in (
            (MACHINE_PATH, "a path of one machine"),
            (PRIVATE_HOST, "a private host"),
        ):
            complaints += [f"{place(path, n)}: {what}: {w}" for n, w in lines_with(pattern, source)]
        if path.name in ("run", "pyproject.toml", "requirements.lock", "requirements.in"):
            complaints += [f"{place(path, n)}: {w}" for n, w in lines_with(INDEX_OPTION, source)]
        if path.name == "requirements.lock" and "://" in source:
            complaints.append(f"{place(path)}: holds an address")
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    "line",
    [
        "cd /" + "root/x",
        "/" + "work/main",
        "https:" + "//nexus.example.com/simple",
        "http:" + "//10.0.0.1/",
    ],
)
def test_a_machine_is_seen(line: str) -> None:
    assert MACHINE_PATH.search(line) or PRIVATE_HOST.search(line)


def test_pages_made_for_people_fetch_nothing() -> None:
    """A page that loads anything from elsewhere would phone home from a court's desk."""
    complaints = []
    for path in tracked_files():
        if path.is_relative_to(PACKAGE) and path.suffix in (
            ".html",
            ".j2",
            ".css",
            ".js",
            ".mjs",
            ".svg",
            ".py",
        ):
            complaints += [
                f"{place(path, n)}: {w}" for n, w in lines_with(OUTSIDE, text_of(path) or "")
            ]
    assert not complaints, "\n".join(complaints)
