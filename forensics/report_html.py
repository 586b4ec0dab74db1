"""The appendix as one HTML file: no script, no outside reference, pictures inside."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

from forensics.report_document import Document

__all__ = ["render_html"]


def render_html(document: Document, pictures: dict[str, bytes]) -> str:
    """One self-contained page.

    Parameters
    ----------
    document
        What to print.
    pictures
        JPEG bytes by the name a figure asks for.
    """
    import jinja2
    from markupsafe import Markup

    folder = resources.files("forensics").joinpath("data/templates")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
    )  # fmt: skip

    def picture(name: str) -> str:
        return "data:image/jpeg;base64," + base64.b64encode(pictures[name]).decode("ascii")

    def drawing(svg: str) -> Any:
        # Drawn by report_figures, which escapes every text it puts in.
        return Markup(svg)

    def kind(block: object) -> str:
        return type(block).__name__.lower()

    environment.globals |= {"picture": picture, "drawing": drawing, "kind": kind}
    environment.filters["tidy"] = _css_string
    return environment.get_template("appendix.html.j2").render(document=document) + "\n"


def _css_string(text: str) -> str:
    """Text for a CSS string: no quote, backslash, tag or line break can end it early."""
    safe = "".join(c if c.isprintable() and c not in "\"'\\<>&;{}" else " " for c in text)
    return safe.strip()
