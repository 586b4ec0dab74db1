"""Notebook 06 runs from top to bottom, offline, and is what its script writes."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks/06_methodology_appendix.ipynb"


def test_the_notebook_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("IPython")
    monkeypatch.chdir(ROOT)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    space: dict[str, object] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            exec(compile(cell.source, cell.id, "exec"), space)
    said = capsys.readouterr().out
    assert "23 sections" in said and "gave the same findings again" in said
    assert said.count("the same bytes twice: True") == 2
    assert "corner.mp4: MISMATCH" in said and "the appendix is refused" in said
    assert "0 of 59: up to 6.1 %" in said and "unknown field" in said


def test_the_notebook_is_what_its_script_writes() -> None:
    nbformat = pytest.importorskip("nbformat")
    cells = runpy.run_path(str(ROOT / "notebooks/make_appendix_notebook.py"))["CELLS"]
    written = nbformat.read(NOTEBOOK, as_version=4).cells
    assert [c.source for c in written] == [source for _, source in cells]
