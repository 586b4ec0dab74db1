"""Every exception the library raises on purpose.

::

    ForensicsError(.hint)
    ├─ ClipError(.path)
    │  ├─ ClipNotFound        also FileNotFoundError
    │  ├─ ClipUnreadable      also ValueError
    │  ├─ ClipRefused         also ValueError: over a safety limit
    │  ├─ ClipChanged         the bytes are no longer those that were hashed
    │  └─ StreamMissing       also LookupError; becomes "not applicable"
    ├─ ToolError(.tool)
    │  ├─ ToolMissing         also FileNotFoundError
    │  ├─ ToolFailed          also RuntimeError (.tail)
    │  └─ ToolTimeout         also TimeoutError
    ├─ ExtraMissing           also ImportError (.extra)
    ├─ SignalTooShort         also ValueError (.need_s, .have_s); becomes "not applicable"
    ├─ RecordInvalid          also ValueError: a value that cannot be put on record
    ├─ LedgerError
    │  ├─ LedgerBroken        also ValueError (.line)
    │  └─ ReplayDiffers
    └─ PolicyError            would identify a person, or write an unredacted export silently

Only `StreamMissing` and `SignalTooShort` turn an examination into *not applicable*; the others
turn it into *failed*; anything that is not a `ForensicsError` is a bug and flies.
"""

from __future__ import annotations

import os

__all__ = [
    "ClipChanged",
    "ClipError",
    "ClipNotFound",
    "ClipRefused",
    "ClipUnreadable",
    "ExtraMissing",
    "ForensicsError",
    "LedgerBroken",
    "LedgerError",
    "PolicyError",
    "RecordInvalid",
    "ReplayDiffers",
    "SignalTooShort",
    "StreamMissing",
    "ToolError",
    "ToolFailed",
    "ToolMissing",
    "ToolTimeout",
    "printable",
]


def printable(path: str | os.PathLike[str]) -> str:
    """A file name as one harmless line: control characters and undecodable bytes escaped.

    Backslashes are doubled, so that two files never come out under one name.
    """
    text = os.fspath(path).replace("\\", "\\\\")
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe)


class ForensicsError(Exception):
    """Base of all errors raised on purpose; `hint` says what the user can do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ClipError(ForensicsError):
    """Something about one file; `path` names it."""

    def __init__(self, message: str, *, path: str | os.PathLike[str] = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = os.fspath(path)


class ClipNotFound(ClipError, FileNotFoundError):
    """No such file, or it is not a regular file."""


class ClipUnreadable(ClipError, ValueError):
    """The file is not media, or is too damaged for the step asked for."""


class ClipRefused(ClipError, ValueError):
    """The file asks for more than a safety limit allows."""


class ClipChanged(ClipError):
    """The file is no longer the one that was hashed."""


class StreamMissing(ClipError, LookupError):
    """The clip has no stream of the kind asked for."""


class ToolError(ForensicsError):
    """Something about another program; `tool` names it."""

    def __init__(self, message: str, *, tool: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.tool = tool


class ToolMissing(ToolError, FileNotFoundError):
    """The program is not installed."""


class ToolFailed(ToolError, RuntimeError):
    """The program ended with an error; `tail` holds the end of what it said."""

    def __init__(self, message: str, *, tool: str, tail: str = "", hint: str = "") -> None:
        super().__init__(message, tool=tool, hint=hint)
        self.tail = tail


class ToolTimeout(ToolError, TimeoutError):
    """The program did not finish within its time."""


class ExtraMissing(ForensicsError, ImportError):
    """A part of the library needs an optional package."""

    def __init__(self, message: str, *, extra: str) -> None:
        hint = f"install it with: pip install 'forensics[{extra}]'"
        if extra == "ocr":
            # Resolved by pip, it would put another OpenCV over this one.
            hint += ", then pip install --no-deps 'rapidocr>=3.10,<4'"
        super().__init__(message, hint=hint)
        self.extra = extra


class SignalTooShort(ForensicsError, ValueError):
    """There is less signal than the method needs."""

    def __init__(self, message: str, *, need_s: float, have_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint or f"{need_s:.3g} s are needed, there are {have_s:.3g}")
        self.need_s = need_s
        self.have_s = have_s


class RecordInvalid(ForensicsError, ValueError):
    """A value cannot be recorded: not finite, of an undeclared type, or not readable back."""


class LedgerError(ForensicsError):
    """Something about a ledger."""


class LedgerBroken(LedgerError, ValueError):
    """The chain does not hold from `line` (counted from 1) on."""

    def __init__(self, message: str, *, line: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.line = line


class ReplayDiffers(LedgerError):
    """Running a recorded examination again gave other findings."""


class PolicyError(ForensicsError):
    """The request would identify a person, or write an unredacted export without saying so."""
