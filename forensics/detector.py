"""Object detectors that assist an examiner: which model may run, what it says, where.

A model is a file and a card beside it (``model.toml`` or ``model.yaml``): SHA-256, licence, input
layout, decoder, labels. A card without a licence is refused; so is any model that looks at faces,
age, gender or tells persons apart. Two models are shipped; their boxes are merged. Boxes around
persons only say where to look for markings: they are never recorded.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from forensics.detector_decode import DECODERS, greedy_suppression
from forensics.errors import ExtraMissing, PolicyError, RecordInvalid, printable
from forensics.model import Box, Value, from_builtins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "VEHICLES", "Detection", "Model", "ModelCard", "Tracked", "check_allowed", "detect",
    "merge_detections", "read_card", "shipped_models", "track_boxes",
]  # fmt: skip

#: Labels of the shipped models that mean a road vehicle.
VEHICLES = frozenset("bicycle car motorcycle bus train truck vehicle van".split())

_GROUPS = {**dict.fromkeys(VEHICLES - {"bicycle"}, "vehicle")}
#: SHA-256 of weights that look at faces or tell persons apart, as their publishers list them.
_DENIED = {
    "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc": "a detector of faces",
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4": "a detector of faces",
    "f6abbfff9575e3041db692c1e29d782e995191888477fd59ebc81202d99fc63b": "it tells faces apart",
    "0579683334d4b9440221606dcb461656dd0dc64143b18f48faedaced9b4f580d": "it tells persons apart",
    "4f61307602fc089ce20488a31d4e4614e3c9753a7d6c41578c854858b183e1a9": "it reads expressions",
}
_DENIED_WORDS = (
    "face", "facial", "gender", "emotion", "iris", "landmark", "gait", "reid-person", "person-reid",
    "person_reid", "pedestrian-attribute",
)  # fmt: skip
_DENIED_LABELS = frozenset(
    "face,human face,head shot,male,female,man,woman,boy,girl,age,gender,ethnicity".split(",")
)
_COPYLEFT = ("agpl", "affero")
_LIMIT = 1 << 30

Decoder: TypeAlias = Literal["nanodet", "ssd", "yolox", "detr"]


class ModelCard(Value, frozen=True):
    """What a model is and how it wants to be fed: nothing of it is guessed.

    `mean` and `std` are per channel in the order of `channels`, on the 0-255 scale.
    """

    file: str
    sha256: str
    licence: str
    origin: str
    decoder: Decoder
    width: int
    height: int
    labels: tuple[str, ...]
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    trained_on: str = ""


class Detection(Value, frozen=True):
    """A box a detector drew: its label, score 0-1 (uncalibrated), and which models agree."""

    label: str
    box: Box
    score: float
    sources: tuple[str, ...]


class Tracked(Value, frozen=True):
    """A detection with the name of the track it was joined to."""

    track: str
    frame: int
    detection: Detection


def read_card(path: Path) -> ModelCard:
    """Read a model's card, ``.toml`` or ``.yaml``.

    Raises
    ------
    RecordInvalid
        Not a card, or one with unknown or missing fields.
    ExtraMissing
        A YAML card without PyYAML.
    """
    text = path.read_text("utf-8")
    plain: Any
    if path.suffix == ".toml":
        import tomllib

        try:
            plain = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecordInvalid(f"{printable(path)} is not TOML: {error}") from error
    else:
        try:
            import yaml  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            raise ExtraMissing("a YAML card needs PyYAML; TOML does not", extra="ocr") from None
        try:
            plain = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecordInvalid(f"{printable(path)} is not YAML: {error}") from error
    return from_builtins(plain, ModelCard)


def check_allowed(card: ModelCard, digest: str) -> None:
    """Refuse a model without licence, with other bytes than its card says, or about persons.

    An AGPL licence is allowed with a warning: it asks whoever serves results over a network to
    publish what runs.

    Raises
    ------
    PolicyError
        No licence; or the model is about faces, age, gender or telling persons apart.
    RecordInvalid
        The bytes are not those of the card.
    """
    known = _DENIED.get(digest) or _DENIED.get(card.sha256)
    named = " ".join((card.file, card.origin, card.trained_on)).lower()
    word = next((w for w in _DENIED_WORDS if w in named), None)
    label = next((x for x in card.labels if x.lower() in _DENIED_LABELS), None)
    if known or word or label:
        why = known or (f"its card says {word!r}" if word else f"it labels {label!r}")
        raise PolicyError(
            f"model {card.file!r} is refused: {why}",
            hint="units and equipment are examined here, never persons",
        )
    if not card.licence.strip():
        raise PolicyError(
            f"model {card.file!r} is refused: its card names no licence",
            hint="fill in `licence` with what its publisher granted",
        )
    if digest != card.sha256:
        raise RecordInvalid(
            f"model {card.file!r} has SHA-256 {digest[:12]}…, its card says {card.sha256[:12]}…"
        )
    if any(word in card.licence.lower() for word in _COPYLEFT):
        warnings.warn(
            f"model {card.file!r} is under {card.licence}: serving its results over a network "
            "obliges you to publish the whole program",
            stacklevel=2,
        )


class Model:
    """A loaded detector; `name` and `digest` stand in the record."""

    def __init__(self, card: ModelCard, content: bytes) -> None:
        import onnxruntime

        self.card = card
        self.digest = hashlib.sha256(content).hexdigest()
        self.name = Path(card.file).stem
        check_allowed(card, self.digest)
        options = onnxruntime.SessionOptions()
        # One thread: sums in another order would make a replay differ in the last digits.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    @classmethod
    def open(cls, card: Path) -> Model:
        """Load the model a card describes; the weights lie beside the card.

        Raises
        ------
        PolicyError, RecordInvalid, ExtraMissing
        """
        described = read_card(card)
        if Path(described.file).name != described.file:
            raise RecordInvalid(f"a card names a file beside itself, not {described.file!r}")
        place = card.parent / described.file
        if not place.is_file() or place.stat().st_size > _LIMIT:
            raise RecordInvalid(f"no usable model file at {printable(place)}")
        return cls(described, place.read_bytes())

    def parameter_record(self) -> dict[str, str]:
        """What stands in an examination's parameters for this model."""
        return {"model": self.name, "sha256": self.digest, "licence": self.card.licence}

    def detect(self, rgb: NDArray[np.uint8], *, floor: float) -> list[Detection]:
        """Boxes in one upright picture, (H, W, 3) uint8 RGB, above a score."""
        import cv2
        import numpy as np

        card = self.card
        picture: Any = cv2.resize(rgb, (card.width, card.height), interpolation=cv2.INTER_LINEAR)
        if card.channels == "bgr":
            picture = picture[..., ::-1]
        fed = picture.astype(np.float32) - np.array(card.mean, np.float32)
        fed /= np.array(card.std, np.float32)
        if card.layout == "nchw":
            fed = fed.transpose(2, 0, 1)
        raw = self._session.run(None, {self._input: np.ascontiguousarray(fed[None])})
        boxes, classes, scores = DECODERS[card.decoder](
            raw, (card.width, card.height), len(card.labels), floor
        )
        height, width = rgb.shape[:2]
        scale = np.array([width, height, width, height]) / np.array(
            [card.width, card.height, card.width, card.height]
        )
        corners = np.clip(boxes * scale, 0, [width, height, width, height])
        found = []
        for box, label, score in zip(corners, classes, scores, strict=True):
            left, top, right, bottom = (float(v) for v in box)
            if right - left >= 2 and bottom - top >= 2:
                found.append(
                    Detection(
                        card.labels[int(label)], Box(left, top, right - left, bottom - top),
                        min(1.0, float(score)), (self.name,),
                    )
                )  # fmt: skip
        return found


@functools.cache
def shipped_models() -> tuple[Model, ...]:
    """The two detectors that come with the library, loaded once a process."""
    folder = resources.files("forensics").joinpath("data/models")
    loaded = []
    for name in ("nanodet_416_fp16w", "ssd_mobilenetv2_oidv4_300_fp16w"):
        with resources.as_file(folder.joinpath(f"{name}.toml")) as path:
            card = read_card(path)
        loaded.append(Model(card, folder.joinpath(card.file).read_bytes()))
    return tuple(loaded)


def _tiles(width: int, height: int, tiles: int) -> list[tuple[int, int, int, int]]:
    # A quarter of overlap: what a seam would cut in two lies whole in one of its neighbours.
    if tiles <= 1:
        return []
    wide, high = (
        round(width / (tiles - 0.25 * (tiles - 1))),
        round(height / (tiles - 0.25 * (tiles - 1))),
    )
    return [
        (round((width - wide) * i / (tiles - 1)), round((height - high) * j / (tiles - 1)),
         wide, high)
        for j in range(tiles) for i in range(tiles)
    ]  # fmt: skip


def detect(
    rgb: NDArray[np.uint8], *, models: Sequence[Model] | None = None, floor: float = 0.3,
    tiles: int = 1, labels: frozenset[str] | None = None,
) -> list[Detection]:  # fmt: skip
    """Boxes in one picture from all models, merged.

    Parameters
    ----------
    rgb
        Upright picture, (H, W, 3) uint8 RGB.
    models
        The shipped ones by default.
    floor
        Least score, 0-1; scores of different models are not on one scale.
    tiles
        2 also looks at 2x2 overlapping quarters, for small targets, at five times the cost.
    labels
        Keep only these.
    """
    height, width = rgb.shape[:2]
    found: list[Detection] = []
    for model in shipped_models() if models is None else models:
        found += model.detect(rgb, floor=floor)
        for left, top, wide, high in _tiles(width, height, tiles):
            for hit in model.detect(rgb[top : top + high, left : left + wide], floor=floor):
                box = Box(hit.box.x + left, hit.box.y + top, hit.box.width, hit.box.height)
                if not _cut_by_seam(box, (left, top, wide, high), (width, height)):
                    found.append(Detection(hit.label, box, hit.score, hit.sources))
    if labels is not None:
        found = [hit for hit in found if hit.label in labels]
    return merge_detections(found)


def _cut_by_seam(
    box: Box, tile: tuple[int, int, int, int], size: tuple[int, int]
) -> bool:  # fmt: skip
    left, top, wide, high = tile
    margin = 3.0
    return (
        (left > 0 and box.x <= left + margin)
        or (top > 0 and box.y <= top + margin)
        or (left + wide < size[0] and box.x + box.width >= left + wide - margin)
        or (top + high < size[1] and box.y + box.height >= top + high - margin)
    )


def merge_detections(found: Sequence[Detection], *, overlap: float = 0.45) -> list[Detection]:
    """One box for each thing several models (or tiles) found; all that agree are named.

    The box and score are the best-scored one's. Within road vehicles, a definite label (bus)
    outranks the general one (vehicle).
    """
    groups: dict[str, list[Detection]] = {}
    for hit in found:
        groups.setdefault(_GROUPS.get(hit.label, hit.label), []).append(hit)
    merged = []
    for hits in groups.values():
        for members in greedy_suppression(
            [(h.box.x, h.box.y, h.box.width, h.box.height) for h in hits],
            [h.score for h in hits], overlap,
        ):  # fmt: skip
            best = hits[members[0]]
            definite = [hits[i] for i in members if hits[i].label != "vehicle"]
            label = max(definite, key=lambda h: h.score).label if definite else best.label
            sources = tuple(sorted({name for i in members for name in hits[i].sources}))
            merged.append(Detection(label, best.box, best.score, sources))
    return sorted(merged, key=lambda h: -h.score)


def track_boxes(
    frames: Sequence[Sequence[Detection]], *, overlap: float = 0.3, gap: int = 2
) -> list[Tracked]:
    """Join boxes of successive frames that overlap and carry the same kind of label.

    A track survives `gap` frames without a box. Tracks say "the same place in the picture, frame
    after frame"; they carry no identity and end at a cut.
    """
    open_tracks: list[tuple[str, int, Detection]] = []
    joined: list[Tracked] = []
    started = 0
    for number, hits in enumerate(frames):
        open_tracks = [t for t in open_tracks if number - t[1] <= gap + 1]
        pairs = sorted(
            (
                (-track[2].box.overlap(hit.box), i, j)
                for i, track in enumerate(open_tracks)
                for j, hit in enumerate(hits)
                if _GROUPS.get(track[2].label, track[2].label) == _GROUPS.get(hit.label, hit.label)
                and track[2].box.overlap(hit.box) >= overlap
            )
        )
        taken_tracks: set[int] = set()
        names: dict[int, str] = {}
        for _, i, j in pairs:
            if i not in taken_tracks and j not in names:
                taken_tracks.add(i)
                names[j] = open_tracks[i][0]
        for j, hit in enumerate(hits):
            if j not in names:
                started += 1
                names[j] = f"t{started}"
            open_tracks = [t for t in open_tracks if t[0] != names[j]]
            open_tracks.append((names[j], number, hit))
            joined.append(Tracked(names[j], number, hit))
    return joined
