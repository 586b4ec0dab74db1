"""The gallery folder: what is refused, what identifies it, which designs it warns about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from insignia_designs import emblem, write_entry

from forensics.cli import main
from forensics.errors import RecordInvalid
from forensics.gallery import Gallery
from forensics.gallery_match import compare, prepare_reference


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, unit in enumerate(("alpha-watch", "beta-guard", "gamma-post")):
        write_entry(tmp_path, unit, emblem(seed))
    return tmp_path


def test_opens_what_the_documentation_describes(folder: Path) -> None:
    gallery = Gallery.open(folder)
    assert [entry.unit for entry in gallery] == ["alpha-watch", "beta-guard", "gamma-post"]
    assert gallery["beta-guard"].name == "beta-guard (invented)"
    assert not gallery.lint()
    assert gallery.parameter_record()["gallery"] == gallery.digest


@pytest.mark.parametrize("field", ["source", "source_sha256", "licence", "added_by"])
def test_refuses_an_entry_that_does_not_say_where_it_comes_from(folder: Path, field: str) -> None:
    card = folder / "beta-guard" / "reference.toml"
    kept = [x for x in card.read_text("utf-8").splitlines() if not x.startswith(f"{field} ")]
    card.write_text("\n".join(kept), "utf-8")
    gallery = Gallery.open(folder)
    assert gallery.refused == ("beta-guard",)
    assert "beta-guard" not in [entry.unit for entry in gallery]
    assert any(p.refused and field in p.text for p in gallery.lint())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('image = "image.png"', 'image = "../alpha-watch/image.png"'),
        ('image = "image.png"', 'image = "missing.png"'),
        ('unit = "beta-guard"', 'unit = "somebody-else"'),
        ("valid_from = 2015-01-01", "valid_from = 2015-01-01\nvalid_to = 2001-01-01"),
        ('licence = "CC0-1.0"', 'licence = "CC0-1.0"\ncommander = "a name"'),
    ],
)
def test_refuses_what_cannot_be_right(folder: Path, old: str, new: str) -> None:
    card = folder / "beta-guard" / "reference.toml"
    card.write_text(card.read_text("utf-8").replace(old, new), "utf-8")
    assert Gallery.open(folder).refused == ("beta-guard",)


def test_an_empty_or_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordInvalid, match="no gallery folder"):
        Gallery.open(tmp_path / "nowhere")
    with pytest.raises(RecordInvalid, match="no usable entry"):
        Gallery.open(tmp_path)


def test_the_digest_follows_every_byte(folder: Path) -> None:
    before = Gallery.open(folder).digest
    assert Gallery.open(folder).digest == before
    write_entry(folder, "beta-guard", emblem(77))
    assert Gallery.open(folder).digest != before


def test_a_reference_that_changed_after_opening_is_not_used(folder: Path) -> None:
    gallery = Gallery.open(folder)
    write_entry(folder, "beta-guard", emblem(77))
    with pytest.raises(RecordInvalid, match="changed since"):
        gallery.references("beta-guard")


def test_warns_about_twins_and_only_about_twins(tmp_path: Path) -> None:
    twin = emblem(5)
    write_entry(tmp_path, "first", twin)
    other = twin.copy()
    other[300:330, 150:234, :3] = 20  # the same patch with one bar more
    write_entry(tmp_path, "twin", other)
    write_entry(tmp_path, "stranger", emblem(9))
    gallery = Gallery.open(tmp_path)
    assert not gallery.look_alikes("first")
    found = gallery.check_lookalikes()
    assert [(pair.first, pair.second) for pair in found] == [("first", "twin")]
    assert gallery.look_alikes("first") == {"twin"}
    assert not gallery.look_alikes("stranger")


def test_the_emblem_is_found_on_a_plain_ground() -> None:
    # The same drawing with transparency, and flattened on grey, is one reference.
    drawn = emblem(3)
    alpha = drawn[..., 3:].astype(float) / 255
    flat = drawn.copy()
    flat[..., :3] = (drawn[..., :3] * alpha + 120 * (1 - alpha)).astype(np.uint8)
    flat[..., 3] = 255
    a, b = prepare_reference(drawn), prepare_reference(flat)
    shared = np.mean((a.mask > 0) == (b.mask > 0)) if a.mask.shape == b.mask.shape else 0.0
    assert shared > 0.97


def test_relation_a_design_agrees_with_itself_and_not_with_another() -> None:
    references = [prepare_reference(emblem(seed)) for seed in range(4)]
    for i, reference in enumerate(references):
        own = compare(reference.picture, reference)
        assert own.inliers > 30 and own.agreement > 0.95 and own.correlation > 0.95
        for j, other in enumerate(references):
            if i != j:
                assert compare(reference.picture, other).agreement < 0.5


def test_an_inverted_colourway_is_seen_as_such() -> None:
    reference = prepare_reference(emblem(2))
    inverted = compare(255 - reference.picture, reference)
    # Light and dark exchanged turns gradients round: features may fail, correlation must not lie.
    assert inverted.correlation <= 0.0 or inverted.inliers < 6


def test_lint_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "lint", str(folder), "--look-alikes"]) == 0
    assert "usable" in capsys.readouterr().out
    write_entry(folder, "without-source", emblem(77), source="")
    assert main(["gallery", "lint", str(folder)]) == 1
    assert "no source" in capsys.readouterr().out
