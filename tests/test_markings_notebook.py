"""Notebook 04 is as its script writes it, and runs from top to bottom."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NAME = "04_markings_and_vehicles.ipynb"


def test_the_notebook_is_what_its_script_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "notebooks")
    script = runpy.run_path(str(ROOT / "notebooks" / "make_markings_notebook.py"))
    script["main"].__globals__["HERE"] = tmp_path
    script["main"]()
    written = (tmp_path / NAME).read_text("utf-8")
    assert (ROOT / "notebooks" / NAME).read_text("utf-8") == written
    assert all(not c.get("outputs") for c in nbformat.reads(written, 4).cells)


@pytest.mark.loopback
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rapidocr", reason="the notebook reads lettering")
    from nbclient import NotebookClient

    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    book = nbformat.read(ROOT / "notebooks" / NAME, 4)
    NotebookClient(
        book, timeout=600, resources={"metadata": {"path": str(ROOT / "notebooks")}}
    ).execute()
    outputs = [o for c in book.cells for o in c.get("outputs", [])]
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 4
    printed = "".join(o.get("text", "") for o in outputs)
    assert "badger-detachment" in printed and "blind, agrees" in printed
