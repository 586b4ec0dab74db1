"""Notebooks 01 and 02 are as their script writes them, and run from top to bottom."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOKS = ("01_open_a_clip", "02_has_it_been_edited")


@pytest.mark.parametrize("name", BOOKS)
def test_a_notebook_is_what_its_script_writes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "notebooks")
    script = runpy.run_path(str(ROOT / "notebooks" / "make_clip_notebooks.py"))
    script["main"].__globals__["HERE"] = tmp_path
    script["main"]()
    written = (tmp_path / f"{name}.ipynb").read_text("utf-8")
    assert (ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8") == written
    book = nbformat.reads(written, 4)
    assert all(not c.get("outputs") for c in book.cells)


@pytest.mark.loopback
@pytest.mark.parametrize("name", BOOKS)
def test_a_notebook_runs(name: str, staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("FORENSICS_STAGED", str(staged))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
    client = NotebookClient(
        book, timeout=600, resources={"metadata": {"path": str(ROOT / "notebooks")}}
    )
    client.execute()
    pictures = [
        o for c in book.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
    ]
    assert len(pictures) >= 2
