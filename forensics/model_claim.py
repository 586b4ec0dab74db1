"""Sentences somebody said, what they expect of the evidence, and how they fared.

An event is named by a label: "impulse", "impulse:gunshot-like", "flash", "enters:bench",
"falls:bench", "cut", "discontinuity", "vehicle:bus", "marking:ENTRY". "impulse" also means
"impulse:gunshot-like". `clip` limits it to one clip, by the examiner's name for it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from forensics.model_values import Quantity, Value

__all__ = [
    "AtOnce",
    "Before",
    "Claim",
    "Count",
    "Expectation",
    "Verdict",
    "Visible",
    "Within",
]


class Count(Value, frozen=True, tag_field="kind", tag="count"):
    """`label` happens exactly `n` times, or at least; with `window_s`, within so many seconds."""

    label: str
    n: int
    at_least: bool = False
    window_s: float | None = None
    clip: str = ""


class Within(Value, frozen=True, tag_field="kind", tag="within"):
    """A `then` follows a `first` within `window_s` seconds."""

    first: str
    then: str
    window_s: float
    clip: str = ""


class Before(Value, frozen=True, tag_field="kind", tag="before"):
    """At least `first_n` of `first` happen before the first `then`; with `never`, none does."""

    first: str
    then: str
    first_n: int = 1
    never: bool = False
    clip: str = ""


class AtOnce(Value, frozen=True, tag_field="kind", tag="at-once"):
    """The two `labels` happen within `window_s` seconds of each other."""

    labels: tuple[str, str]
    window_s: float
    clip: str = ""


class Visible(Value, frozen=True, tag_field="kind", tag="visible"):
    """`label` can be seen; with `never`, it cannot."""

    label: str
    clip: str = ""
    never: bool = False


Expectation: TypeAlias = Count | Within | Before | AtOnce | Visible


class Claim(Value, frozen=True):
    """A sentence somebody said, its source, and what it expects of the evidence."""

    name: str
    text: str
    source: str
    expects: Expectation


class Verdict(Value, frozen=True):
    """A claim held against the evidence; `for_` and `against` are finding ids."""

    claim: Claim
    outcome: Literal["supported", "contradicted", "undecided"]
    for_: tuple[str, ...]
    against: tuple[str, ...]
    reason: str
    margin: Quantity | None = None
