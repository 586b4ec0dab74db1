"""How each kind of alarm can come about, the likeliest first, and what SWGDE's words it earns."""

from __future__ import annotations

from forensics.model import Explanation

__all__ = ["explanations"]

_TABLE: dict[str, tuple[tuple[str, bool, str], ...]] = {
    "frame-grid-shift": (
        ("cut", False, "sound was removed, inserted or replaced after it had been coded"),
        ("joined-recordings", True, "a recorder was paused, or an app joined separate takes"),
        ("dropped-sound", True, "an overloaded device lost samples; look for a gap in the stamps"),
    ),
    "vorbis-blocks": (
        ("codec", True, "Vorbis moves its own grid by multiples of 128 samples, without any edit"),
        ("cut", False, "sound was removed or inserted; one cut in 128 moves the grid so"),
    ),
    "copy-move": (
        ("copy", False, "a stretch was copied over or inserted elsewhere in the same recording"),
        ("played-sound", True, "a jingle, ring tone, loop or announcement was played twice"),
        ("machine", True, "a machine or tone that repeats itself exactly"),
        ("stored-sound", True, "an electronic instrument played one stored sound again"),
    ),
    "resemblance": (
        ("stored-sound", True, "an electronic instrument played one stored sound again"),
        ("played-sound", True, "a jingle, ring tone, loop or announcement was played twice"),
        ("machine", True, "a machine or tone that repeats itself almost exactly"),
        ("copy", False, "a stretch was copied elsewhere, and mixed or changed afterwards"),
    ),
    "loop": (
        ("loop", True, "the sound itself is a loop, a ring tone, a machine or a test signal"),
        ("played-sound", True, "a jingle, ring tone or announcement was played again and again"),
        ("stored-sound", True, "an electronic instrument played its stored sounds again and again"),
        ("copy", False, "a stretch was copied many times over"),
    ),
    "noise-floor-step": (
        ("environment", True, "a door, an engine, a fan, music, the wind; somebody moved"),
        ("gain-control", True, "automatic gain, noise suppression or a voice gate acted"),
        ("microphone-change", True, "the phone changed or covered its microphone"),
        ("cut", False, "the parts before and after were not recorded in one go"),
    ),
    "gain-after-bang": (
        ("gain-control", True, "a loud sound just before made automatic gain turn down"),
        ("environment", True, "the scene itself became quieter or louder"),
        ("cut", False, "the parts before and after were not recorded in one go"),
    ),
    "reverberation-change": (
        ("moved", True, "the speaker or the phone moved, turned, or somebody farther off spoke"),
        ("source", True, "what sounds dies away otherwise: held notes, strings, bells, engines"),
        ("environment", True, "a door was opened or closed; the recorder went into another room"),
        ("gain-control", True, "noise suppression or a voice gate began to cut the pauses short"),
        ("cut", False, "the parts before and after were recorded in different rooms"),
    ),
    "channel-change": (
        ("coder", True, "the coder fell back to one channel, or came back from it"),
        ("microphone-change", True, "a second microphone was switched, plugged or covered"),
        ("cut", False, "the parts before and after come from different sources"),
    ),
    "bandwidth-change": (
        ("source", True, "what sounds reaches other heights now: music, voices, machines, birds"),
        ("codec-adapts", True, "the coder or the network call changed its rate"),
        ("microphone-change", True, "the phone changed or covered its microphone, or a headset"),
        ("cut", False, "the parts before and after come from different sources"),
    ),
    "digital-silence": (
        ("gate", True, "a noise gate, a mute button, a call on hold, silence not transmitted"),
        ("player-or-app", True, "an app filled missing sound with zeros"),
        ("muted", False, "a stretch was overwritten with silence"),
    ),
    "sound-splice": (
        ("gain-after-clipping", False, "clipped parts were joined at different gains"),
        ("recorder-gain", True, "a recorder that clips before an adjustable digital gain"),
    ),
    "dropped-sound": (
        ("overload", True, "the recorder lost sound under load, or the stream lost packets"),
        ("pause", True, "the recording was paused, or the picture went on without sound"),
        ("cut", False, "sound was removed and the stamps were kept"),
    ),
    "av-mismatch": (
        ("recorder", True, "many recorders start or stop sound and picture at different times"),
        ("trim", False, "sound or picture was trimmed on its own"),
    ),
}


def explanations(kind: str) -> tuple[Explanation, ...]:
    """Ranked explanations for a kind of alarm."""
    return tuple(
        Explanation(rank, name, benign, text)
        for rank, (name, benign, text) in enumerate(_TABLE[kind], 1)
    )
