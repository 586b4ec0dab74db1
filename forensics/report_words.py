"""The appendix's own words in English, Russian and Belarusian, kept beside its templates.

Every phrase has a key; the three catalogues hold the same keys (a test compares them). What the
library recorded in a clip's or a method's own words is quoted as it stands, in its language.
"""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

from forensics.errors import RecordInvalid

__all__ = ["LANGUAGES", "Words", "read_words"]

LANGUAGES = ("en", "ru", "be")


class Words:
    """Looks up a phrase by its key and fills in its values.

    A key or value that is missing is a bug and flies.
    """

    def __init__(self, language: str, phrases: dict[str, str]) -> None:
        self.language = language
        self.phrases = phrases

    def __call__(self, key: str, **values: Any) -> str:
        return self.phrases[key].format(**values) if values else self.phrases[key]

    def of(self, prefix: str, name: str) -> str:
        """A phrase for one member of a closed list, such as an outcome."""
        return self.phrases[f"{prefix}.{name.replace(' ', '-')}"]

    def maybe(self, prefix: str, name: str) -> str:
        """As `of`, or the name itself where no phrase exists (a kind added since)."""
        plain = name.replace("-", " ").replace("_", " ")
        return self.phrases.get(f"{prefix}.{name.replace(' ', '-')}", plain)


@functools.cache
def read_words(language: str) -> Words:
    """The catalogue of one language.

    Raises
    ------
    RecordInvalid
        There is no such language.
    """
    if language not in LANGUAGES:
        raise RecordInvalid(
            f"no appendix in {language!r}", hint=f"languages: {', '.join(LANGUAGES)}"
        )
    data = resources.files("forensics").joinpath(f"data/templates/words_{language}.toml")
    return Words(language, dict(_flat(tomllib.loads(data.read_text("utf-8")))))


def _flat(table: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, value))
    return rows
