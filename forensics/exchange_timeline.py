"""Timelines for editing programs and annotators: OTIO, Final Cut Pro 7 XML, ELAN, WebVTT."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from forensics.errors import ExtraMissing
from forensics.exchange_gather import Mark, Story, Strip
from forensics.model import clock_text

__all__ = ["write_eaf", "write_fcp7", "write_otio", "write_vtt"]

#: Ticks a second of .otio times: divides 24, 25, 30, 48, 50, 60, 44 100 / 100 and 1/1000 s.
_TICKS = 90_000
#: Rates that Final Cut Pro 7 XML and its timecode can write.
_FCP_RATES = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 48.0, 50.0, 60000 / 1001, 60.0)


def _otio() -> Any:
    try:
        import opentimelineio
    except ImportError:
        raise ExtraMissing("timelines need opentimelineio", extra="exchange") from None
    return opentimelineio


def _timeline(story: Story, rate: float) -> Any:
    """One track a clip: a gap up to its start, then the clip, its marks on it."""
    otio = _otio()

    def ticks(seconds: float, at: float = rate) -> Any:
        return otio.opentime.RationalTime(round(seconds * at), at)

    timeline = otio.schema.Timeline(name=story.title)
    timeline.global_start_time = ticks(0.0)
    timeline.metadata["forensics"] = {
        "case": story.case, "ledger_head": story.head, "origin_s": story.origin_s,
        "unplaced": [s.name for s in story.strips if s.start_s is None],
    }  # fmt: skip
    for strip in story.placed:
        kind = otio.schema.TrackKind.Video if strip.clip.video else otio.schema.TrackKind.Audio
        track = otio.schema.Track(name=strip.name, kind=kind)
        assert strip.start_s is not None
        begin = strip.start_s - story.origin_s
        if ticks(begin).value > 0:
            track.append(otio.schema.Gap(source_range=otio.opentime.TimeRange(
                ticks(0.0), ticks(begin))))  # fmt: skip
        length = otio.opentime.TimeRange(ticks(0.0), ticks(strip.length_s))
        media = otio.schema.ExternalReference(
            target_url=strip.clip.path.absolute().as_uri(), available_range=length
        )
        piece = otio.schema.Clip(name=strip.name, media_reference=media, source_range=length)
        piece.metadata["forensics"] = {
            "sha256": strip.clip.digest, "offset_s": strip.start_s,
            "uncertainty_s": strip.uncertainty_s, "drift_ppm": strip.drift_ppm,
        }  # fmt: skip
        for mark in _marks_of(story, strip):
            assert mark.start_s is not None and mark.end_s is not None
            spot = otio.opentime.TimeRange(
                ticks(mark.start_s), ticks(max(0.0, mark.end_s - mark.start_s))
            )
            note = {"finding": mark.id, "method": mark.method, "error_rate": mark.error_rate}
            piece.markers.append(otio.schema.Marker(
                name=f"{mark.type}: {mark.label}"[:120], marked_range=spot, comment=mark.note,
                color=otio.schema.MarkerColor.RED, metadata={"forensics": note},
            ))  # fmt: skip
        track.append(piece)
        timeline.tracks.append(track)
    return timeline


def _marks_of(story: Story, strip: Strip) -> list[Mark]:
    return [
        m for m in story.marks
        if m.digest == strip.clip.digest and m.start_s is not None and m.type != "keyframe"
    ]  # fmt: skip


def write_otio(story: Story, out: Path) -> Path:
    """OpenTimelineIO; starts are exact to 1/90 000 s."""
    _otio().adapters.write_to_file(_timeline(story, _TICKS), str(out), adapter_name="otio_json")
    return out


def write_fcp7(story: Story, out: Path) -> Path:
    """Final Cut Pro 7 XML, which most editors read; starts are whole frames of the fastest clip.

    The sequence runs at least at the fastest clip's rate, up to 60, so that no start is off by
    more than half of one of its frames.
    """
    fastest = max((float(strip.rate) for strip in story.placed), default=25.0)
    # The slowest rate the format knows that is not slower than the clip's; a rate that varies
    # about 26.5 is written at 29.97.
    written = next((r for r in _FCP_RATES if r >= fastest * (1 - 1e-4)), _FCP_RATES[-1])
    text = _otio().adapters.write_to_string(_timeline(story, written), adapter_name="fcp_xml")
    out.write_text(text, "utf-8")
    return out


def write_vtt(story: Story, out: Path) -> Path:
    """WebVTT cues on the incident clock, from the earliest start of a clip."""
    def safe(text: str) -> str:
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    about = f"zero is incident {clock_text(story.origin_s)}; ledger {story.head}"
    lines = ["WEBVTT", "", f"NOTE {safe(story.title)}; {about}", ""]
    timed = [m for m in story.marks if m.incident_start_s is not None]
    for mark in sorted(timed, key=lambda m: (m.incident_start_s or 0.0, m.id)):
        assert mark.incident_start_s is not None and mark.incident_end_s is not None
        start = mark.incident_start_s - story.origin_s
        # A cue has to have a length; an instant is shown for as long as it can be read.
        end = max(mark.incident_end_s - story.origin_s, start + 1.0)
        lines += [
            mark.id[:12], f"{_cue(start)} --> {_cue(end)}",
            safe(f"{mark.clip}: {mark.type}: {mark.label} (±{mark.uncertainty_s or 0:.3f} s)"), "",
        ]  # fmt: skip
    out.write_text("\n".join(lines), "utf-8")
    return out


def _cue(seconds: float) -> str:
    text = clock_text(max(0.0, seconds))
    hours, rest = text.split(":", 1)
    return f"{int(hours):02d}:{rest}"


def write_eaf(story: Story, out: Path) -> Path:
    """ELAN: one tier a clip, every clip linked with its time origin.

    ELAN's time origin says how much of a file is skipped, so the common zero is the *latest*
    start; what was found before it cannot be written and is counted in the property
    ``forensics-omitted``.
    """
    try:
        import pympi
    except ImportError:
        raise ExtraMissing("ELAN files need pympi-ling", extra="exchange") from None
    zero = max((s.start_s for s in story.placed if s.start_s is not None), default=0.0)
    eaf = pympi.Eaf(author="forensics")
    eaf.remove_tier("default")
    omitted = 0
    for strip in story.placed:
        assert strip.start_s is not None
        kind = "video/mp4" if strip.clip.video is not None else "audio/x-wav"
        eaf.add_linked_file(
            strip.clip.path.absolute().as_uri(), mimetype=kind,
            time_origin=round((zero - strip.start_s) * 1000),
        )  # fmt: skip
        tier = strip.name
        eaf.add_tier(tier)
        taken: set[tuple[int, int]] = set()
        for mark in _marks_of(story, strip):
            if mark.incident_start_s is None or mark.incident_end_s is None:
                continue
            start = round((mark.incident_start_s - zero) * 1000)
            end = max(round((mark.incident_end_s - zero) * 1000), start + 1)
            if start < 0:
                omitted += 1
                continue
            while any(a < end and start < b for a, b in taken):
                # Annotations of one tier may not overlap: a millisecond keeps them apart.
                start, end = end, end + 1
            taken.add((start, end))
            text = f"{mark.type}: {mark.label} [{mark.id[:12]}]"
            eaf.add_annotation(tier, start, end, "".join(c for c in text if c.isprintable()))
    eaf.add_property("forensics-omitted", str(omitted))
    eaf.add_property("forensics-ledger", story.head)
    out.unlink(missing_ok=True)
    eaf.to_file(str(out))
    ElementTree.parse(out)  # what cannot be read back was not written
    return out
