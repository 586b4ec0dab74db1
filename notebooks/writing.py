"""Turns the cells of a maker script into a notebook without outputs, with cell ids that stay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nbformat

__all__ = ["write"]


def write(path: Path, cells: Sequence[tuple[str, str]], *, ids: str = "cell") -> Path:
    """Write cells, each ("md" or "code", its text), as a notebook; a cell's id is ids-NN."""
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python",
    }  # fmt: skip
    for number, (kind, text) in enumerate(cells):
        make = nbformat.v4.new_markdown_cell if kind == "md" else nbformat.v4.new_code_cell
        cell = make(text)
        cell["id"] = f"{ids}-{number:02d}"
        book.cells.append(cell)
    nbformat.validate(book)
    path.write_text(nbformat.writes(book) + "\n", encoding="utf-8")
    return path
