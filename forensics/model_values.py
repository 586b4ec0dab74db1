"""Time, quantities, boxes and canonical JSON: the values everything else is made of.

Seconds on one clip's clock are exact `fractions.Fraction`s inside a `Span`; seconds on the
incident clock are an `Interval`, another type, so that mixing clocks is a type error.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec

from forensics.errors import RecordInvalid

__all__ = [
    "Box",
    "Interval",
    "Moment",
    "Progress",
    "Quantity",
    "Span",
    "Value",
    "canonical_json",
    "clock_text",
    "content_hash",
    "from_builtins",
    "from_json",
    "seconds",
    "to_builtins",
]

T = TypeVar("T")

#: Called with the fraction done (0 to 1) and what is being done.
Progress: TypeAlias = Callable[[float, str], None]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every recorded value: immutable, and refusing fields it does not know."""


def _encode(value: Any) -> Any:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Path):
        # A name that is not UTF-8 must survive the trip through JSON byte for byte.
        raw = os.fsencode(value)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return {"raw": base64.b64encode(raw).decode("ascii")}
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return value.item()  # a NumPy scalar
    raise RecordInvalid(f"a {type(value).__name__} cannot be put on record")


def _decode(kind: type, value: Any) -> Any:
    if kind is Fraction:
        if not isinstance(value, str):
            raise ValueError("an exact time is written as 'numerator/denominator'")
        return Fraction(value)
    if kind is Path or (isinstance(kind, type) and issubclass(kind, Path)):
        if isinstance(value, dict):
            return Path(os.fsdecode(base64.b64decode(value["raw"])))
        return Path(value)
    raise ValueError(f"no reader for {kind!r}")


def to_builtins(value: Any) -> Any:
    """`value` as dicts, lists, strings and numbers, ready for JSON or a table."""
    return msgspec.to_builtins(value, enc_hook=_encode)


def from_builtins(value: Any, kind: type[T]) -> T:
    """The inverse of `to_builtins`: checked against `kind`; `RecordInvalid` if it does not fit."""
    try:
        return msgspec.convert(value, kind, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError) as error:
        raise RecordInvalid(f"not a valid {getattr(kind, '__name__', kind)}: {error}") from error


def from_json(data: bytes | str, kind: type[T]) -> T:
    """Read one JSON value as `kind`; `RecordInvalid` if it does not fit."""
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=_decode)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RecordInvalid(f"not a valid {getattr(kind, '__name__', kind)}: {error}") from error


def _check_finite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise RecordInvalid(f"{where} is {value}: only finite numbers can be recorded")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _check_finite(item, f"{where}[{number}]")


def canonical_json(value: Any) -> bytes:
    """One byte sequence for one value: sorted keys, no spaces, UTF-8, finite numbers only."""
    # msgspec writes NaN as null, which would turn "could not look" into "nothing" silently.
    plain = to_builtins(value)
    _check_finite(plain, "value")
    return msgspec.json.encode(plain, order="sorted")


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def seconds(value: Fraction | float | int | str) -> Fraction:
    """An exact time; a float is taken at microsecond resolution."""
    if isinstance(value, float):
        return Fraction(round(value * 1_000_000), 1_000_000)
    return Fraction(value)


def clock_text(value: Fraction | float) -> str:
    """Seconds as ``[-]h:mm:ss.mmm``."""
    milliseconds = round(float(value) * 1000)
    sign = "-" if milliseconds < 0 else ""
    total, thousandths = divmod(abs(milliseconds), 1000)
    minutes, second = divmod(total, 60)
    hour, minute = divmod(minutes, 60)
    return f"{sign}{hour}:{minute:02d}:{second:02d}.{thousandths:03d}"


def _floats(value: Value, *names: str) -> None:
    # 1 and 1.0 are one number: they must hash alike.
    for name in names:
        number = getattr(value, name)
        if number is not None and type(number) is not float:
            msgspec.structs.force_setattr(value, name, float(number))


class Span(Value, frozen=True, order=True):
    """From `start` to `end`, exact seconds of presentation time on **one clip's clock**."""

    start: Fraction
    end: Fraction

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise RecordInvalid(f"a span ends before it starts: {self.start} to {self.end}")

    @classmethod
    def of(cls, start: Fraction | float | int, end: Fraction | float | int) -> Span:
        """Build a span from numbers; floats are taken at microsecond resolution."""
        return cls(seconds(start), seconds(end))

    @property
    def length(self) -> Fraction:
        """Seconds from start to end."""
        return self.end - self.start

    def __contains__(self, time: Fraction | float) -> bool:
        return self.start <= time <= self.end

    def __and__(self, other: Span) -> Span | None:
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Span(start, end) if start <= end else None

    def __or__(self, other: Span) -> Span:
        return Span(min(self.start, other.start), max(self.end, other.end))

    def __str__(self) -> str:
        return f"{clock_text(self.start)} to {clock_text(self.end)}"


class Interval(Value, frozen=True):
    """Seconds on the **incident clock**, with the 95 % uncertainty of both ends (±)."""

    start: float
    end: float
    uncertainty: float

    def __post_init__(self) -> None:
        if not (self.end >= self.start and self.uncertainty >= 0):
            raise RecordInvalid("an interval needs start <= end and an uncertainty >= 0")

    def __str__(self) -> str:
        return (
            f"incident {clock_text(self.start)} to {clock_text(self.end)} "
            f"± {self.uncertainty:.3f} s"
        )


class Moment(Value, frozen=True):
    """An instant of wall-clock time: aware UTC, its uncertainty, and where it was read."""

    utc: datetime
    uncertainty_s: float
    source: str

    def __post_init__(self) -> None:
        if self.utc.tzinfo is None:
            raise RecordInvalid("a moment needs a time zone")

    def __str__(self) -> str:
        return f"{self.utc.isoformat()} ± {self.uncertainty_s:g} s ({self.source})"


class Quantity(Value, frozen=True):
    """A number with its unit and its 95 % interval, or the reason there is none in `note`."""

    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        bounds = (self.low, self.high)
        numbers = [self.value, *(x for x in bounds if x is not None)]
        if not all(math.isfinite(x) for x in numbers):
            raise RecordInvalid(f"a quantity must be finite, not {numbers}")
        if (self.low is None) != (self.high is None):
            raise RecordInvalid("an interval has two ends")
        if self.low is None and not self.note:
            raise RecordInvalid("a quantity without an interval must say why in its note")
        _floats(self, "value", "low", "high")

    @classmethod
    def exact(cls, value: float, unit: str, note: str = "read exactly, not estimated") -> Quantity:
        """A count or a stored value: there is nothing to estimate, so no interval."""
        return cls(float(value), unit, note=note)

    def __str__(self) -> str:
        """To two figures of its uncertainty; the record holds every digit.

        A court is not told that an offset is -3.54181e-08 seconds.
        """
        unit = f" {self.unit}" if self.unit else ""
        if self.low is None or self.high is None:
            small = 0 < abs(self.value) < 1e-3
            return f"{self.value:.{2 if small else 6}g}{unit} ({self.note})"
        half = (self.high - self.low) / 2
        if half == 0:
            value = f"{self.value + 0.0:.6g}"
            return f"{value}{unit} [{value}, {value}]"
        places = max(0, 1 - math.floor(math.log10(half)))
        value, low, high = (_decimal(x, places) for x in (self.value, self.low, self.high))
        # A bound that is small beside the other one is not nothing.
        if low == "0" and self.low > 1e-6 * half:
            low = f"{self.low:.1g}"
        return f"{value}{unit} [{low}, {high}]"


def _decimal(number: float, places: int) -> str:
    if places > 9:
        return f"{number:.3g}"
    text = f"{number:.{places}f}"
    text = text.rstrip("0").rstrip(".") if places else text
    return "0" if text == "-0" else text


class Box(Value, frozen=True):
    """A rectangle in pixels of the displayed (upright) frame, origin at the top left."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if self.width < 0 or self.height < 0:
            raise RecordInvalid("a box cannot have a negative size")
        _floats(self, "x", "y", "width", "height")

    def __and__(self, other: Box) -> Box | None:
        left, top = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.width, other.x + other.width)
        bottom = min(self.y + self.height, other.y + other.height)
        return Box(left, top, right - left, bottom - top) if right > left and bottom > top else None

    def overlap(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        shared = self & other
        if shared is None:
            return 0.0
        both = self.width * self.height + other.width * other.height
        area = shared.width * shared.height
        return area / (both - area)
