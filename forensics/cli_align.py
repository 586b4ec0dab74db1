"""Clips on one clock, for people: words, a timeline, a sheet, a page to play, one film of all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forensics.cli_output import with_progress
from forensics.errors import PolicyError, RecordInvalid
from forensics.model import Alignment, Clip, Examination, canonical_json, to_builtins
from forensics.plots_ink import check_drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "At",
    "Between",
    "Group",
    "Picture",
    "PictureOut",
    "Unredacted",
    "check_picture",
    "show_alignment",
    "write_picture",
]

_DRAWN, _FILMED = (".png", ".svg", ".pdf"), (".mp4", ".mkv")
_PLAYED, _SAID = (".html",), (".jsonl",)
PICTURED = (
    ".png .svg .pdf a timeline, .html a player, .mp4 .mkv a film of all cameras, .jsonl the record"
)

PictureOut = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="OUT", help=f"By its suffix: {PICTURED}.")
]
At = Annotated[
    float | None,
    typer.Option("--at", help="With -o .png: every camera at this second of the incident clock."),
]
Between = Annotated[
    tuple[float, float] | None,
    typer.Option("--between", help="With -o .html or .mp4: these seconds of the incident clock."),
]
Group = Annotated[int, typer.Option("--group", min=0, help="Which group of clips, from 0.")]
Unredacted = Annotated[bool, typer.Option("--unredacted", help="Cover no one.")]


@dataclass(frozen=True)
class Picture:
    """What is asked for beside the words: `out` by its suffix, and what of the incident clock."""

    out: Path | None
    at_s: float | None = None
    between_s: tuple[float, float] | None = None
    group: int = 0
    unredacted: bool = False


def check_picture(picture: Picture) -> None:
    """Refuse what cannot be written before anything is decoded.

    Raises
    ------
    RecordInvalid
        An unknown suffix, or an option that does not go with it.
    ExtraMissing
        A figure, and matplotlib is not installed.
    PolicyError
        `out` exists; moving pictures that nobody allowed to leave uncovered.
    """
    if picture.out is None:
        if picture.at_s is not None or picture.between_s is not None:
            raise RecordInvalid("--at and --between need -o", hint=PICTURED)
        return
    suffix = picture.out.suffix.lower()
    if suffix not in (*_DRAWN, *_PLAYED, *_FILMED, *_SAID):
        raise RecordInvalid(f"cannot write clips on one clock as {suffix!r}", hint=PICTURED)
    if suffix in _DRAWN:
        check_drawing()
    if picture.at_s is not None and suffix not in _DRAWN:
        raise RecordInvalid("--at goes with a picture", hint="-o sheet.png")
    if suffix not in (*_PLAYED, *_FILMED):
        if picture.between_s is not None:
            raise RecordInvalid("--between goes with a page or a film", hint="-o all.html, all.mp4")
        return
    if picture.out.exists():
        raise PolicyError(f"{picture.out.name} exists", hint="a film or page never replaces a file")
    if not picture.unredacted:
        raise PolicyError(
            "a page or a film would show everybody as they were seen",
            hint="say --unredacted if it stays with the case; redacted copies go through Python: "
            "player.write_mosaic(..., redacted={digest: copy})",
        )


def write_picture(
    picture: Picture, found: Alignment, clips: Sequence[Clip], *,
    examinations: Sequence[Examination] = (), drawn: Callable[[], Figure] | None = None,
) -> None:  # fmt: skip
    """Draw, play or film what was aligned, as the suffix says; nothing without `out`.

    `examinations` are marked in the page; `drawn` draws another figure than the bare timeline.
    """
    if picture.out is None:
        return
    suffix = picture.out.suffix.lower()
    low, high = picture.between_s or (None, None)
    with with_progress() as progress:
        if suffix in _DRAWN:
            from forensics import plots

            if picture.at_s is not None:
                figure = plots.draw_cameras_at(
                    found, clips, picture.at_s, component=picture.group,
                    unredacted=picture.unredacted, progress=progress,
                )  # fmt: skip
            else:
                figure = drawn() if drawn else plots.draw_timeline(found, clips)
            plots.save(figure, picture.out)
        elif suffix in _SAID:
            picture.out.write_bytes(canonical_json(found) + b"\n")
        else:
            from forensics import player

            write: Callable[..., Path] = player.write_mosaic
            if suffix in _PLAYED:
                write = functools.partial(player.write_player, examinations=examinations)
            write(
                found, clips, picture.out, component=picture.group, from_s=low, to_s=high,
                unredacted=picture.unredacted, progress=progress,
            )  # fmt: skip


def show_alignment(
    found: Alignment, clips: Sequence[Clip], *, json: bool, picture: Picture | None = None
) -> None:
    """Where every clip lies, who was left out and why; and the picture asked for."""
    names = {clip.digest: clip.name for clip in clips}
    if json:
        typer.echo(canonical_json(to_builtins(found) | {"names": names}).decode())
    else:
        _say(found, names)
    if picture is not None:
        write_picture(picture, found, clips)


def _say(found: Alignment, names: dict[str, str]) -> None:
    for number, group in enumerate(found.components):
        mine = [p for p in found.placements if p.component == number]
        zero = next((p.clip for p in mine if p.basis == "reference"), group[0])
        typer.echo(f"clock of {names.get(zero, zero[:12])}; positive: starts later")
        for place in mine:
            name = names.get(place.clip, place.clip[:12])
            typer.echo(
                f"  {name}: offset {place.offset}  drift {place.drift_ppm}  "
                f"by {place.basis}"
            )
    if not found.components:
        typer.echo("no two clips could be put on one clock")
    for left in found.unplaced:
        typer.echo(f"  {names.get(left.clip, left.clip[:12])}: {left.outcome}: {left.reason}")
    for pair in found.pairs:
        if pair.rivals and pair.false_join is not None and pair.false_join.value <= 0.01:
            one, two = (names.get(d, d[:12]) for d in (pair.first, pair.second))
            times = ", ".join(f"{r.value:+.2f}" for r in (pair.offset, *pair.rivals[:7]) if r)
            more = f" and {len(pair.rivals) - 7} more" if len(pair.rivals) > 7 else ""
            what = "joined" if pair.accepted else "not joined by itself"
            typer.echo(f"  {one} and {two}, {what}: sound that repeats fits at {times} s{more}")
    for warning in found.warnings:
        typer.echo(f"  warning: {warning}")
    typer.echo(f"  error rate: {found.error_rate}")
