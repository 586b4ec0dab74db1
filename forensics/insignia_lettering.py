"""Read lettering on uniforms, shields and vehicles; a lexicon decides what was read.

PP-OCRv6 (extra `ocr`) locates lines in any script; Tesseract reads Cyrillic where it is
installed; without it, Latin look-alikes are folded back (OMOH is ОМОН). Digits are read by
PP-OCRv6. Which reader answered stands in every result.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.detector_text import LineRead, cut_line, find_text, read_line
from forensics.errors import RecordInvalid, ToolError
from forensics.model import Box, Value, from_builtins
from forensics.tools import find_tool, run_tool
from forensics.tools_temporary import temporary_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LetteringRead", "LexiconWord", "decide_word", "read_lettering", "read_lexicon",
           "tesseract_languages"]  # fmt: skip

_WANTED = ("rus", "bel", "ukr")
_LETTERS = "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯІЎЄЇҐABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789- "
#: What the Latin reader sees when it looks at a Cyrillic capital, and what one stands for another.
_SHAPES = (
    "АAΑ4", "В8BΒ", "Г7TГΓ", "Д4AД", "Е3EΕЁ", "ЗЭ3", "ИNUHЙMИ", "КKΚ", "ЛJNПΛA", "МMΜW", "НHΗ",
    "О0OΟQD", "ПNHΠn", "РPΡ", "СCGϹ6", "ТTΤ7", "УYΥ", "ФO0Φ", "ХXΧ", "Ц4UИL", "Ч4Y", "ШWMЩ",
    "Ы6bI", "Ь6b", "Я9RAR", "ІI1l|", "Ю1OO",
)  # fmt: skip
_FOLD_COST = 0.34
_DISTANCE = 0.25
_MARGIN = 0.12
_SHORT = 4


class LexiconWord(Value, frozen=True):
    """A word that may stand on a uniform or vehicle."""

    text: str
    lang: str
    meaning: str


class LetteringRead(Value, frozen=True):
    """One line of lettering: where, as read, by which reader, and what the lexicon made of it.

    `word` is empty when no lexicon word is near enough. `digits` holds a number if the line is
    one. `distance` is the edit distance to the word per letter; `height_px` the line's height.
    """

    box: Box
    corners: tuple[tuple[float, float], ...]
    raw: str
    reader: str
    word: str
    meaning: str
    distance: float
    height_px: float
    score: float
    digits: str = ""


@functools.cache
def _shipped() -> tuple[LexiconWord, ...]:
    content = resources.files("forensics").joinpath("data/lexicon.toml").read_text("utf-8")
    return _parse(content)


def _parse(content: str) -> tuple[LexiconWord, ...]:
    try:
        listed = tomllib.loads(content).get("word", [])
    except tomllib.TOMLDecodeError as error:
        raise RecordInvalid(f"the lexicon is not TOML: {error}") from error
    words = from_builtins(listed, tuple[LexiconWord, ...])
    if not words:
        raise RecordInvalid("the lexicon holds no [[word]]")
    return words


def read_lexicon(path: Path | None = None) -> tuple[LexiconWord, ...]:
    """The words of a lexicon file; the shipped one by default.

    Raises
    ------
    RecordInvalid
        Not a lexicon.

    When it errs
    ------------
    A word nobody listed is never found (ASTM E3016: incompleteness); a word says what is written,
    not who wrote it.
    """
    return _shipped() if path is None else _parse(path.read_text("utf-8"))


@functools.cache
def tesseract_languages() -> tuple[str, ...]:
    """Which of rus, bel, ukr Tesseract can read here; empty when it is not installed."""
    try:
        find_tool("tesseract")
        said = run_tool("tesseract", ["--list-langs"]).decode("utf-8", "replace").split()
    except ToolError:
        return ()
    return tuple(name for name in _WANTED if name in said)


@functools.cache
def _costs() -> dict[tuple[str, str], float]:
    pairs = {}
    for shape in _SHAPES:
        for other in shape[1:]:
            pairs[(other, shape[0])] = _FOLD_COST if other in "4689U73" else 0.1
    for alike in ("АA", "ВB", "ЕE", "КK", "МM", "НH", "ОO", "РP", "СC", "ТT", "УY", "ХX", "ІI"):
        pairs[(alike[1], alike[0])] = pairs[(alike[0], alike[1])] = 0.0
    pairs[("0", "О")] = 0.1
    for a, b in ("ИН", "ІI", "ЫИ", "ЙИ", "ЦИ", "ЦЫ", "ПЛ", "ЪЬ"):
        pairs[(a, b)] = pairs[(b, a)] = 0.5
    return pairs


def _edit_distance(read: str, word: str) -> float:
    costs = _costs()
    previous = [float(j) for j in range(len(word) + 1)]
    for i, have in enumerate(read, start=1):
        current = [float(i)]
        for j, want in enumerate(word, start=1):
            swap = 0.0 if have == want else costs.get((have, want), 1.0)
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + swap))
        previous = current
    return previous[-1]


def decide_word(
    readings: Sequence[str], words: Sequence[LexiconWord]
) -> tuple[LexiconWord | None, float, str]:
    """The lexicon word nearest to any of several readings of one line.

    Returns
    -------
    word or None, distance per letter, the reading that decided
        None unless the distance is at most 0.25 a letter, and the next word is 0.12 further off.
        Words of under four letters must be read without an error beyond look-alike letters.
    """
    best: list[tuple[float, int, str]] = []
    for number, word in enumerate(words):
        options = []
        for reading in readings:
            plain = reading.upper().strip(" -.,:;'\"|")
            parts = {plain, *plain.split(" "), plain.replace(" ", "")}
            options += [
                (_edit_distance(part, word.text) / len(word.text), reading)
                for part in parts if len(part) >= 2
            ]  # fmt: skip
        if options:
            distance, reading = min(options)
            best.append((distance, number, reading))
    if not best:
        return None, 1.0, ""
    best.sort()
    distance, number, reading = best[0]
    word = words[number]
    limit = _DISTANCE if len(word.text) > _SHORT else 0.11 if len(word.text) == _SHORT else 0.04
    rival = next((d for d, n, _ in best[1:] if words[n].text != word.text), 1.0)
    if distance > limit or (rival - distance < _MARGIN and distance > 0.0):
        return None, distance, reading
    return word, distance, reading


def _ask_tesseract(lines: Sequence[NDArray[np.uint8]], languages: Sequence[str]) -> list[str]:
    """What Tesseract reads in each line: one process for all, its models loaded once."""

    import cv2
    import numpy as np
    from PIL import Image

    pages = []
    for line in lines:
        grey = cv2.cvtColor(line, cv2.COLOR_RGB2GRAY)
        if np.median(grey) < (int(grey.min()) + int(grey.max())) / 2:
            grey = 255 - grey  # Tesseract expects dark letters on a light ground
        pages.append(
            Image.fromarray(cv2.copyMakeBorder(grey, 14, 14, 14, 14, cv2.BORDER_REPLICATE))
        )
    with temporary_folder("lines") as folder:
        path = folder / "lines.tif"
        pages[0].save(path, "TIFF", save_all=True, append_images=pages[1:])
        said = run_tool(
            "tesseract",
            [path, "stdout", "-l", "+".join(languages), "--psm", "7", "--dpi", "150"],
            timeout_s=60.0 + 10.0 * len(pages),
        ).decode("utf-8", "replace")
    texts = [" ".join(page.split()) for page in said.split("\f")]
    return (texts + [""] * len(pages))[: len(pages)]


def read_lettering(
    image: NDArray[np.uint8], *, lexicon: Sequence[LexiconWord] | None = None,
    longest_px: int = 1280, locate: bool = True, languages: Sequence[str] | None = None,
    minimum_px: float = 7.0,
) -> list[LetteringRead]:  # fmt: skip
    """Read lettering in a picture and hold it against a lexicon of words worn on uniforms.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB, upright: a frame, or a crop an examiner drew.
    lexicon
        Words; the shipped ones by default, see `read_lexicon`.
    longest_px
        Longer side at which lines are looked for.
    locate
        False takes the whole picture for one line.
    languages
        Tesseract's languages; those of rus, bel, ukr that are installed by default, () for none.
    minimum_px
        Lines lower than this are located but not read.

    Returns
    -------
    list of LetteringRead
        Every located line, also those no word was found for; empty if there is no lettering.

    Raises
    ------
    ExtraMissing
        `rapidocr` is not installed (extra `ocr`).

    When it errs
    ------------
    Reads a word wrongly when another word of the lexicon differs by one letter hidden by a fold
    (ASTM E3016: inaccuracy, association); misses lettering under about 8 pixels of capital
    height, curved or vertical lettering, and strong blur (incompleteness); says nothing about who
    wears it. Without Tesseract only words made of letters that look Latin are found. Measured on
    drawn and filmed words, H.264 at crf 28: 1 of 34 missed at 14 pixels and more, 2 of 34 at 8 to
    13, 1 of 210 other words taken for one of the lexicon; without Tesseract 29 of 34 missed.
    """
    import numpy as np

    words = tuple(read_lexicon() if lexicon is None else lexicon)
    spoken = tuple(tesseract_languages() if languages is None else languages)
    height, width = image.shape[:2]
    rows: list[tuple[Any, Box, float, float]] = []
    if locate:
        rows = [(p.corners, p.box, p.score, p.height_px)
                for p in find_text(image, longest_px=longest_px)]  # fmt: skip
    else:
        whole = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        rows = [(whole, Box(0, 0, float(width), float(height)), 1.0, float(height))]
    lines = {
        number: cut_line(image, corners, margin=0.08 if locate else 0.0)
        for number, (corners, _, _, height_px) in enumerate(rows)
        if height_px >= minimum_px
    }
    cyrillic: dict[int, str] = {}
    if spoken and lines:
        cyrillic = dict(zip(lines, _ask_tesseract(list(lines.values()), spoken), strict=True))
    found = []
    for number_of_line, (corners, box, score, height_px) in enumerate(rows):
        readings: list[str] = []
        latin = LineRead("", (), 0.0)
        line = lines.get(number_of_line)
        if line is not None:
            latin = read_line(line, allowed=_LETTERS + _LETTERS.lower())
            readings = [text for text in (cyrillic.get(number_of_line, ""), latin.text) if text]
        word, distance, reading = decide_word(readings, words)
        number = latin.text.replace(" ", "")
        by_tesseract = bool(spoken) and reading != latin.text
        reader = f"tesseract {'+'.join(spoken)}" if by_tesseract else "PP-OCRv6"
        found.append(
            LetteringRead(
                box=box, corners=tuple((float(x), float(y)) for x, y in corners),
                raw=reading or (readings[0] if readings else ""), reader=reader,
                word=word.text if word else "", meaning=word.meaning if word else "",
                distance=float(min(distance, 9.0)), height_px=float(height_px), score=float(score),
                digits=number if number.isdigit() else "",
            )
        )  # fmt: skip
    return found
