"""The alignment notebook runs from top to bottom, offline."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.loopback
def test_the_alignment_notebook_runs(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORENSICS_MEDIA", str(media))
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    notebook = nbformat.read(ROOT / "notebooks" / "03_align_the_clips.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(ROOT / "notebooks")}}
    ).execute()
    told = "\n".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    pictures = [
        o for cell in notebook.cells for o in cell.get("outputs", [])
        if "image/png" in o.get("data", {})
    ]  # fmt: skip
    assert len(pictures) == 2, "the timeline and the contact sheet are shown, not only named"
    assert "timbl_2.mp3" in told
    assert "12.25" in told
    assert "the offset jumps by +0.7" in told
    assert "left out: DLhj" in told
