"""What this library made for a person to hear is no material: its mark, and the refusal."""

from __future__ import annotations

from forensics.errors import ClipRefused
from forensics.model import Clip

__all__ = ["LISTENING_MARK", "check_not_listening_copy"]

#: In the tags of every copy made for a person to hear; such a file is no material for a method.
LISTENING_MARK = "DERIVATIVE FOR LISTENING ONLY - NOT EVIDENCE - NOT TO BE ANALYSED"


def check_not_listening_copy(clip: Clip) -> None:
    """Refuse a listening copy as material.

    Raises
    ------
    ClipRefused
        The clip carries `LISTENING_MARK`, in the tags of the file or of one of its streams.
    """
    # Encoders keep comments, but Matroska and Ogg keep them with the stream.
    tags = [clip.container.tags, clip.metadata, *(stream.tags for stream in clip.streams)]
    if any(LISTENING_MARK in value for known in tags for value in known.values()):
        raise ClipRefused(
            f"{clip.name} is a listening copy: a derivative is not analysed", path=clip.path,
            hint="examine the recording it was made from; its record names the SHA-256",
        )  # fmt: skip
