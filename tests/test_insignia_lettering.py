"""Lettering: what a lexicon may decide, look-alike letters, and words that must stay unread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from insignia_designs import film, font
from PIL import Image, ImageDraw

from forensics import insignia
from forensics.errors import RecordInvalid
from forensics.insignia_lettering import decide_word, tesseract_languages

WORDS = insignia.read_lexicon()


def decided(*readings: str) -> str:
    word, _, _ = decide_word(readings, WORDS)
    return word.text if word else ""


@pytest.mark.parametrize(
    ("read", "word"),
    [
        ("МИЛИЦИЯ", "МИЛИЦИЯ"), ("милиция", "МИЛИЦИЯ"), ("МИЛИЦИ", "МИЛИЦИЯ"),
        ("МІЛІЦЫЯ", "МІЛІЦЫЯ"), ("OMOH", "ОМОН"),
        ("СПЕЦНА3", "СПЕЦНАЗ"), ("ПАТРУЛЬ 12", "ПАТРУЛЬ"), ("POLICE", "POLICE"),
    ],
)  # fmt: skip
def test_near_readings_become_words(read: str, word: str) -> None:
    assert decided(read) == word


@pytest.mark.parametrize(
    "read",
    ["", "Х", "ХЛЕБ", "АПТЕКА", "ОКНО", "ОМ", "ГА", "БЕРЁЗА", "KIOSK", "12345", "МИР", "ЛУК"],
)
def test_other_words_stay_unread(read: str) -> None:
    assert decided(read) == ""


def test_short_words_need_every_letter() -> None:
    assert decided("ГАИ") == "ГАИ"
    assert decided("ГАД") == "" and decided("ПАИ") == ""


def test_the_better_of_two_readings_decides() -> None:
    assert decided("МNNNUNЯ", "МИЛИЦИЯ") == "МИЛИЦИЯ"


def test_a_lexicon_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "words.toml"
    path.write_text('[[word]]\ntext = "ДРУЖИНА"\nlang = "ru"\nmeaning = "wardens"\n', "utf-8")
    words = insignia.read_lexicon(path)
    assert decide_word(["ДРУЖИHА"], words)[0] == words[0]
    path.write_text("[[word]]\ntext = 3\n", "utf-8")
    with pytest.raises(RecordInvalid):
        insignia.read_lexicon(path)
    path.write_text("", "utf-8")
    with pytest.raises(RecordInvalid, match="no"):
        insignia.read_lexicon(path)


def panel(text: str, cap_px: float, seed: int = 3) -> np.ndarray:
    tile = Image.new("RGBA", (120 + 78 * len(text), 150), (24, 26, 34, 255))
    ImageDraw.Draw(tile).text(
        (tile.width / 2, 75), text, fill=(230, 230, 226), font=font(80), anchor="mm"
    )
    rng = np.random.default_rng(seed)
    ground = np.clip(rng.normal(120, 6, (160, 360, 3)), 0, 255).astype(np.uint8)
    width = tile.width * cap_px / (80 * 0.729)
    return film(np.array(tile), ground, width, rng, yaw=10, roll=4, at=(180.0, 80.0))[0]


class TestReading:
    """On pictures; these need the text models."""

    @pytest.fixture(autouse=True)
    def _models(self) -> None:
        pytest.importorskip("rapidocr", reason="the text models come with the extra `ocr`")

    def test_latin_shaped_words_are_read_without_tesseract(self) -> None:
        found = insignia.read_lettering(panel("ОМОН", 24), languages=(), longest_px=640)
        assert [r.word for r in found] == ["ОМОН"]
        assert found[0].reader == "PP-OCRv6" and found[0].raw == "OMOH"

    def test_cyrillic_is_read_by_tesseract(self) -> None:
        if not tesseract_languages():
            pytest.skip("tesseract with rus, bel or ukr is not installed")
        found = insignia.read_lettering(panel("МИЛИЦИЯ", 20), longest_px=640)
        assert [r.word for r in found] == ["МИЛИЦИЯ"]
        assert found[0].reader.startswith("tesseract") and found[0].meaning

    def test_numbers_on_shields_are_read(self) -> None:
        found = insignia.read_lettering(panel("417", 24), languages=(), longest_px=640)
        assert [r.digits for r in found] == ["417"] and found[0].word == ""

    def test_an_empty_wall_holds_no_word(self) -> None:
        ground = np.clip(np.random.default_rng(1).normal(120, 8, (160, 360, 3)), 0, 255)
        found = insignia.read_lettering(ground.astype(np.uint8), languages=(), longest_px=640)
        assert not [r for r in found if r.word]

    def test_height_is_measured(self) -> None:
        low = insignia.read_lettering(panel("417", 16), languages=(), longest_px=640)[0]
        high = insignia.read_lettering(panel("417", 32), languages=(), longest_px=640)[0]
        assert high.height_px == pytest.approx(2 * low.height_px, rel=0.25)
