"""The grammar of burned-in clocks: what a line of text says about time, and never more than that.

Conventions: `seconds` is the second of the day, 0 to 86399; a 12-hour reading without AM or PM
keeps `meridiem` empty and is taken as it stands; a date is given only if four-digit or two-digit
year, month and day make a calendar date. Day names are Latin or Cyrillic and are skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

__all__ = ["DateOrder", "TimeText", "is_clock_like", "read_time_text", "to_the_second"]

DateOrder: TypeAlias = Literal["", "ymd", "dmy", "mdy"]

# What recognisers write where a digit stands.
_LOOKALIKE = str.maketrans(
    {"O": "0", "o": "0", "О": "0", "о": "0", "Q": "0", "D": "0", "I": "1", "l": "1", "|": "1",
     "!": "1", "Z": "2", "z": "2", "З": "3", "з": "3", "S": "5", "s": "5", "б": "6", "B": "8",
     "В": "8", "：": ":", "；": ":", ";": ":", "，": ",", "．": ".", "－": "-", "–": "-",
     "—": "-", "／": "/", "・": "."}
)  # fmt: skip
_WIDE = str.maketrans("０１２３４５６７８９", "0123456789")
# Two figures of the hour may follow others without a space: "CAM 0209:34:26".
_TIME = re.compile(
    r"(?P<h>[01]\d|2[0-4]|(?<!\d)\d)\s?[:.'*·]\s?(?P<m>[0-5]\d)\s?[:.'*·]\s?(?P<s>[0-5]\d)(?!\d{3})"
)
# Recognisers drop the space, or a colon: "2021-10-1421:46:40", "21:4640".
_TIGHT = re.compile(r"(?P<h>[01]\d|2[0-3])\s?[:.]?\s?(?P<m>[0-5]\d)\s?[:.]?\s?(?P<s>[0-5]\d)")
_MERIDIEM = re.compile(r"(?<![^\W\d_])([AaPpАР])\.?\s?[MmМ]\b")
# "23.03.2021 -04-19.38": a year that ends a date does not begin another.
_DATE_YMD = re.compile(
    r"(?<!\d)(?<!\d[-/.,_])(?P<y>(?:19|20)\d\d)\s?[-/.年_]\s?(?P<a>\d\d?)\s?[-/.月_]\s?(?P<b>\d\d?)"
)
# "2021:07:18-20:24:34": where the date has colons too, its end is not the hour.
_DATE_COLONS = re.compile(
    r"(?<![\d:])(?P<y>20\d\d):(?P<a>[01]\d):(?P<b>[0-3]\d)"
)
_DATE_XXY = re.compile(
    r"(?<!\d)(?P<a>\d\d?)\s?[-/.,_]\s?(?P<b>\d\d?)\s?[-/.,_]\s?"
    r"(?P<y>(?:19|20)\d\d|\d\d(?!\d{2}[-/.]))"
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan янв сту", "feb фев лют", "mar мар сак", "apr апр кра", "may май мая",
         "jun июн чэр", "jul июл лип", "aug авг жні", "sep сен вер", "oct окт кас",
         "nov ноя ліс", "dec дек сне"), start=1,
    )
    for name in names.split()
}  # fmt: skip
_NAMED = rf"(?P<n>(?i:{'|'.join(_MONTHS)}))[a-zа-я]*\.?"
_DATE_NAMED = re.compile(
    rf"(?<!\d)(?P<d>\d\d?)\s?[-/. ]?\s?{_NAMED}\s?[-/. ,]?\s?(?P<y>(?:19|20)\d\d)"
)
# "Oct 14, 2021", and "Thu Oct 14 21:46:40 2021" with the time in the middle.
_DATE_MONTH_FIRST = re.compile(
    rf"{_NAMED}\s?(?P<d>\d\d?)(?!\d)\s?,?\s?(?P<y>(?:19|20)\d\d)(?!\d)"
)
_DATE_AROUND = re.compile(
    rf"{_NAMED}\s?(?P<d>[0-3]?\d)\s?(?P<time>[0-2]\d\D\d\d\D\d\d)\s?(?P<y>(?:19|20)\d\d)(?!\d)"
)


@dataclass(frozen=True)
class TimeText:
    """What one line says: second of the day, date if it has one, and how sure the form is.

    `seconds` is None where the line has a date only. `twelve` is true when the hour runs to 12
    only (AM or PM was there). `ambiguous_date` means day and month could be exchanged.
    """

    text: str
    seconds: int | None
    day: date | None = None
    order: DateOrder = ""
    ambiguous_date: bool = False
    twelve: bool = False
    colons: int = 2


def _day(year: int, month: int, day: int) -> date | None:
    if year < 100:
        year += 2000 if year < 70 else 1900
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _cut(text: str, found: re.Match[str]) -> str:
    return text[: found.start()] + " " + text[found.end() :]


def _find_date(text: str) -> tuple[date | None, DateOrder, bool, str]:
    """The day, the order it is written in, whether day and month may be exchanged, and the rest
    of the line.
    """
    nothing: tuple[date | None, DateOrder, bool, str] = (None, "", False, text)
    found = _DATE_YMD.search(text) or _DATE_COLONS.search(text)
    if found:
        # "2021-10-1421:46:40": two digits belong to the day, what follows to the hour.
        day = _day(int(found["y"]), int(found["a"]), int(found["b"]))
        return (day, "ymd", False, _cut(text, found)) if day else nothing
    for form in (_DATE_NAMED, _DATE_MONTH_FIRST, _DATE_AROUND):
        named = form.search(text)
        if named is None:
            continue
        day = _day(int(named["y"]), _MONTHS[named["n"].lower()], int(named["d"]))
        if not day:
            return nothing
        order: DateOrder = "dmy" if form is _DATE_NAMED else "mdy"
        # What is left of the line holds the time: here it stands inside the date.
        rest = named["time"] if form is _DATE_AROUND else _cut(text, named)
        return day, order, False, rest
    found = _DATE_XXY.search(text)
    if not found:
        return nothing
    a, b, year = int(found["a"]), int(found["b"]), int(found["y"])
    first, second = _day(year, b, a), _day(year, a, b)
    if first and second:
        # Slashes are American more often than not where AM/PM stands; both stay possible.
        month_first = "/" in found[0] and _MERIDIEM.search(text) is not None
        chosen: DateOrder = "mdy" if month_first else "dmy"
        return second if month_first else first, chosen, a != b, _cut(text, found)
    if first:
        return first, "dmy", False, _cut(text, found)
    if second:
        return second, "mdy", False, _cut(text, found)
    return nothing


def read_time_text(text: str) -> TimeText | None:
    """What a recognised line says about time, or None if it says nothing.

    Parameters
    ----------
    text
        One line as a recogniser returned it; look-alike letters are taken for digits only where
        digits are expected.

    When it errs
    ------------
    It calls it wrongly when a number that is no clock has the form of one (a score, a version);
    it misses clocks without seconds. It says nothing about whether the clock was right.
    """
    wide = text.translate(_WIDE)
    tail = wide
    plain = "".join(
        c.translate(_LOOKALIKE) if _beside_digit(wide, i) else c for i, c in enumerate(wide)
    )
    day, order, ambiguous, rest = _find_date(plain)
    found = _TIME.search(rest) or _TIGHT.search(rest)
    if found is None:
        return TimeText(text, None, day, order, ambiguous) if day else None
    hour, minute, second = (int(found[name]) for name in "hms")
    meridiem = _MERIDIEM.search(tail)
    twelve = meridiem is not None and 1 <= hour <= 12
    if meridiem is not None and twelve:
        hour = hour % 12 + (12 if meridiem[1] in "PpР" else 0)
    if hour > 23:
        return None
    colons = sum(found[0].count(c) for c in ":.'*·")
    return TimeText(
        text, hour * 3600 + minute * 60 + second, day, order, ambiguous, twelve, colons
    )


def _beside_digit(text: str, index: int) -> bool:
    near = text[max(0, index - 1) : index] + text[index + 1 : index + 2]
    return any(c.isdigit() or c in ":-/." for c in near) and not _letters_around(text, index)


def _letters_around(text: str, index: int) -> bool:
    # "Oct", "Вс", "PM": a letter among letters stays a letter.
    before, after = text[max(0, index - 1) : index], text[index + 1 : index + 2]
    return before.isalpha() or after.isalpha()


def is_clock_like(text: str) -> bool:
    """Whether a line has the form of a running clock: hour, minute and second, with separators."""
    said = read_time_text(text)
    return said is not None and said.seconds is not None and said.colons >= 1


_FRACTION = re.compile(r"(\d\d\s?[:.]\s?\d\d\s?[:.]\s?\d\d)\s?[:.,;]\s?\d{1,3}(?!\d)(?![:.])")


def to_the_second(text: str) -> str:
    """The line without fractions or frames of a second, which another frame of it does not show."""
    return _FRACTION.sub(r"\1", text)
