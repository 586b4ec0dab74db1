"""Frames that are stored but not shown: what an edit list hides, listed, hashed, made visible."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from forensics.container_cuts import read_id_pattern
from forensics.container_explain import observe
from forensics.container_headers import ABSENT, SliceTable, read_tracks
from forensics.errors import StreamMissing
from forensics.model import (
    Artefact,
    Clip,
    Coverage,
    Examination,
    Observation,
    Progress,
    Quantity,
    Span,
    Verdict3,
)
from forensics.provenance import conclude, keep, method
from forensics.scan import Packets, Picture, iter_pictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["HiddenRun", "find_hidden_frames", "find_hidden_runs", "is_preroll", "measure_preroll",
           "observe_hidden"]  # fmt: skip

#: Up to this much at the head a writer hides by itself: reordering, priming, a session that
#: starts a moment after its first picture. A trim can be as short, so this decides nothing alone.
PREROLL_S = Fraction(1, 4)
PREROLL_FRAMES = 8


@dataclass(frozen=True)
class HiddenRun:
    """Consecutive stored pictures that are not shown.

    `where` is head, tail or interior; `rows` of the stored table; `first`/`last` media time (s);
    `shown_before`/`shown_after` presentation times (s) around the place; `starts_inside` tells
    that what is shown next does not begin with a key frame; `length` media time (s) up to what is
    shown next, `until` the same from the first picture stored; `from_first` tells that what is
    stored begins with the first picture an encoder wrote, as far as its numbers say.
    """

    where: str
    rows: NDArray[np.int64]
    first: Fraction
    last: Fraction
    shown_before: Fraction | None
    shown_after: Fraction | None
    starts_inside: bool
    length: Fraction = Fraction(0)
    from_first: bool = False
    until: Fraction = Fraction(0)


def find_hidden_runs(stored: SliceTable, presented: SliceTable) -> list[HiddenRun]:
    """Runs of stored pictures that the presentation leaves out, in media order.

    Parameters
    ----------
    stored
        The table read without edit lists.
    presented
        The table read with them.
    """
    import numpy as np

    here = presented.shown & (presented.packets.pts != ABSENT)
    shown_at = dict(zip(presented.packets.position[here].tolist(),
                        presented.packets.pts[here].tolist(), strict=True))  # fmt: skip
    order = np.argsort(stored.packets.pts, kind="stable")
    order = order[stored.packets.pts[order] != ABSENT]
    positions = stored.packets.position[order]
    if not len(order) or (positions < 0).any():
        return []
    hidden = np.array([int(p) not in shown_at for p in positions])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(np.int8), [0]])))
    base, clock = stored.packets.time_base, presented.packets.time_base
    start = int(stored.packets.pts[order[0]]) * base
    runs = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        rows = order[begin:end]
        before = shown_at[int(positions[begin - 1])] * clock if begin else None
        after = shown_at[int(positions[end])] * clock if end < len(order) else None
        where = "head" if before is None else "tail" if after is None else "interior"
        inside = end < len(order) and not stored.access[order[end]]
        first, last = (int(stored.packets.pts[row]) * base for row in (rows[0], rows[-1]))
        until = int(stored.packets.pts[order[end]]) * base if end < len(order) else last
        initial = bool(stored.access[0]) and _begins(stored) and (where != "head" or 0 in rows)
        runs.append(HiddenRun(
            where, rows, first, last, before, after, bool(inside), until - first,
            initial, until - start,
        ))  # fmt: skip
    return runs


def _begins(stored: SliceTable) -> bool:
    """Whether the first picture is an encoder's first, as far as its number says.

    Those that alternate begin with 0; of those that count some begin with 1.
    """
    ids = [int(v) for v in stored.idr_pic_id[(stored.access == 1) & (stored.idr_pic_id >= 0)]]
    return not ids or ids[0] <= (0 if read_id_pattern(ids).pattern == "alternating" else 1)


def measure_preroll(stored: SliceTable, sound: Iterable[Packets] = ()) -> Fraction:
    """How much (s) an encoder's own delay explains: picture reordering, or priming of the sound.

    Parameters
    ----------
    stored
        The picture table read without edit lists.
    sound
        Packets of the sound streams, read with edit lists: priming has negative stamps.
    """
    pts, dts = stored.packets.pts, stored.packets.dts
    known = (pts != ABSENT) & (dts != ABSENT)
    delay = Fraction(0)
    if known.any():
        # The first picture waits for the others; one constant offset throughout is no delay.
        ahead = (pts - dts)[known]
        delay = int(ahead[0] - ahead.min()) * stored.packets.time_base
    for packets in sound:
        stamped = packets.pts[packets.pts != ABSENT]
        if len(stamped):
            delay = max(delay, -int(stamped.min()) * packets.time_base)
    return delay


def is_preroll(run: HiddenRun) -> bool:
    """Whether a hidden head is as short as writers hide by themselves, and begins at a start.

    When it errs
    ------------
    A trim of less than a quarter of a second, of a recording that began just before, looks the
    same (ASTM E3016: misinterpretation).
    """
    # Some telephones show the very first pictures and hide those that follow while they settle.
    early = run.where == "head" or (run.where == "interior" and run.until <= PREROLL_S)
    short = run.length <= PREROLL_S and len(run.rows) <= PREROLL_FRAMES
    return early and run.from_first and short


def read_hidden(
    clip: Clip, presented: SliceTable, *, progress: Progress | None = None
) -> tuple[SliceTable | None, list[HiddenRun]]:
    """The stored table and its hidden runs; no second pass where no edit list can hide anything."""
    video = clip.video
    if video is None or not (video.edit_list or presented.packets.discard.any()):
        return None, []
    stored = read_tracks(clip, edit_lists=False, progress=progress).pictures
    if stored is None:
        return None, []
    return stored, find_hidden_runs(stored, presented)


def observe_hidden(
    runs: list[HiddenRun], *, explained_s: Fraction = Fraction(0),
    artefacts: dict[int, tuple[Artefact, ...]] | None = None, notes: dict[int, str] | None = None,
) -> list[Observation]:  # fmt: skip
    """The hidden runs as observations: a trim is called a trim, an encoder's pre-roll a pre-roll.

    Parameters
    ----------
    runs
        From `find_hidden_runs`.
    explained_s
        What the encoder's own delay explains, seconds, from `measure_preroll`.
    artefacts, notes
        Per run, what was extracted and what is to be said about it.
    """
    seen = []
    for number, run in enumerate(runs):
        times = [t for t in (run.shown_before, run.shown_after) if t is not None]
        span = Span(min(times), max(times)) if times else None
        count = len(run.rows)
        preroll = is_preroll(run)
        small = preroll or (run.where == "tail" and count <= 2)
        # A recorder begins with a key frame. Pictures shown from the middle of a GOP on, with its
        # beginning stored but hidden, were not recorded that way.
        verdict: Verdict3 = "inconclusive"
        if not preroll and (run.where == "interior" or (run.where == "head" and run.starts_inside)):
            verdict = "inconsistent"
        # What is hidden is no longer than the reordering or the priming the file itself shows.
        slack = run.length / (2 * count)
        explained = preroll and 0 < run.length <= explained_s + slack
        if explained:
            verdict = "consistent"
        text = {
            "head": "trim: the beginning is stored but not shown",
            "tail": "trim: the end is stored but not shown",
            "interior": "a stretch inside is stored but not shown",
        }[run.where]
        if preroll:
            text = "pre-roll: the first pictures are stored but not shown"
        supports = [f"{count} stored pictures are not presented ({run.where})"]
        if run.starts_inside:
            supports.append("what is shown next does not begin with a key frame")
        if explained:
            supports.append(f"reordering or priming in this file takes {float(explained_s):.3f} s")
        reasons = ("encoder-delay", "trim", "unusual-writer") if small else (
            "trim", "edited-tables", "unusual-writer", "encoder-delay")  # fmt: skip
        note = f"{text}; media time {float(run.first):.3f} s to {float(run.last):.3f} s"
        extra = (notes or {}).get(number, "")
        seen.append(observe(
            "container", "hidden-frames", verdict, span=span,
            score=0.1 if explained else 0.3 if small else 0.95, supports=supports,
            explanations=reasons, removed=Quantity.exact(count, "frames", "counted in the file"),
            measures={
                "hidden_frames": Quantity.exact(count, "frames"),
                "hidden_from": Quantity.exact(float(run.first), "s", "media time, read exactly"),
                "hidden_to": Quantity.exact(float(run.last), "s", "media time, read exactly"),
            },
            note=f"{note}; {extra}" if extra else note,
            stratum="pre-roll" if preroll else "edit-list",
            artefacts=(artefacts or {}).get(number, ()),
        ))  # fmt: skip
    return seen


def _png(picture: Picture) -> bytes:
    import cv2

    bgr = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2BGR)
    _, buffer = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return bytes(buffer.tobytes())


@method("container-hidden-frames", version="2", references=(
    "ISO/IEC 14496-12 8.6.6 (edit list)",
    "SWGDE 23-V-001 Best Practices for Digital Video Authentication",
))  # fmt: skip
def find_hidden_frames(
    clip: Clip, *, max_pictures: int = 300, progress: Progress | None = None
) -> Examination:
    """Frames that an edit list hides: listed, counted, hashed and made visible.

    Parameters
    ----------
    clip
        An opened clip.
    max_pictures
        At most this many are kept as PNG artefacts; all are listed and hashed.
    progress
        Called with (fraction, text).

    Returns
    -------
    Examination
        One `Discontinuity` of kind ``hidden-frames`` per run; its artefacts are a CSV table of all
        its frames (media time in s, byte position, SHA-256 of the pixels) and the pictures.

    Raises
    ------
    ClipUnreadable, ClipRefused, ClipChanged
        As outcome *failed*.

    References
    ----------
    ISO/IEC 14496-12 8.6.6.

    When it errs
    ------------
    Calls it a trim when a device itself records ahead and hides more than a quarter of a second of
    it (ASTM E3016: misinterpretation), and a pre-roll what is a shorter trim from an encoder's
    first picture on. Misses data that no index points at when it is not H.264 (incompleteness);
    `find_discontinuities` reports such stretches by size. Says nothing about what was cut away
    without leaving it in the file, and nothing in containers without edit lists.
    """
    tracks = read_tracks(clip, progress=progress)
    presented = tracks.pictures
    if presented is None:
        raise StreamMissing(f"{clip.name} has no picture packets", path=clip.path)
    stored, runs = read_hidden(clip, presented, progress=progress)
    seen = len(stored) if stored is not None else len(presented)
    coverage = Coverage(None, seen, "packets")
    if clip.video is None or "mov" not in clip.container.format.split(","):
        return conclude((), coverage=coverage, outcome="not-applicable",
                        reason="this container has no edit list that could hide frames")
    if stored is None or not runs:
        return conclude((), coverage=coverage, stratum="edit-list",
                        reason="every stored picture is presented")
    owner = {
        int(stored.packets.pts[row]): number for number, run in enumerate(runs) for row in run.rows
    }
    tables: dict[int, list[tuple[str, str, str, str]]] = {n: [] for n in range(len(runs))}
    pictures: dict[int, list[Artefact]] = {n: [] for n in range(len(runs))}
    base = stored.packets.time_base
    last, kept = max(owner), 0
    whole = Span(min(Fraction(0), min(owner) * base), last * base)
    for picture in iter_pictures(clip, edit_lists=False, span=whole, only=owner.keys()):
        number = owner[int(picture.pts / base)]
        tables[number].append((
            str(picture.pts), f"{float(picture.pts):.6f}", str(picture.byte_position),
            picture.pixel_hash,
        ))  # fmt: skip
        if kept < max_pictures:
            label = f"hidden frame at media time {float(picture.pts):.3f} s"
            pictures[number].append(keep(_png(picture), media_type="image/png", label=label))
            kept += 1
        if progress is not None:
            progress(min(1.0, kept / max(1, min(len(owner), max_pictures))), "hidden frames")
    artefacts, notes = {}, {}
    failures = 0
    for number, rows in tables.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("media_time", "media_time_s", "byte_position", "pixel_sha256"))
        writer.writerows(rows)
        listing = keep(text.getvalue().encode(), media_type="text/csv", label="hidden frames")
        artefacts[number] = (listing, *pictures[number])
        lost = len(runs[number].rows) - len(rows)
        failures += lost
        notes[number] = f"{len(rows)} of {len(runs[number].rows)} decoded and hashed"
        if len(pictures[number]) < len(rows):
            notes[number] += f", {len(pictures[number])} kept as pictures"
    explained = measure_preroll(stored, tracks.sound.values())
    return conclude(
        observe_hidden(runs, explained_s=explained, artefacts=artefacts, notes=notes),
        coverage=Coverage(None, seen, "packets", failures), stratum="edit-list",
        measures={"hidden_frames": Quantity.exact(len(owner), "frames")},
    )  # fmt: skip
