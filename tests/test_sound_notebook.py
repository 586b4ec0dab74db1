"""Notebook 07 runs from top to bottom, on the real pair and on the pair it makes itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks/07_is_this_one_recording.ipynb"
MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared" / "media"))


@pytest.mark.parametrize("material", ["real", "made"])
def test_the_notebook_runs(
    material: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("matplotlib").use("Agg")
    if material == "real" and not (MEDIA / "enf/pyenf").exists():
        pytest.skip("the media folder is not here")
    if material == "made":
        monkeypatch.setenv("FORENSICS_MEDIA", str(tmp_path))
    monkeypatch.chdir(ROOT)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    space: dict[str, object] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            lines = [line for line in cell.source.splitlines() if not line.startswith("%")]
            exec(compile("\n".join(lines), cell.id, "exec"), space)
    said = capsys.readouterr().out
    assert "copied stretches in the untouched recording: 0" in said
    kinds = {o.what.kind for o in space["exam"].observations}  # type: ignore[attr-defined]
    assert "copy-move" in kinds
    assert "listening copy" in said
