"""Recordings for ``benchmarks/events.py``: which, in which half, and what is in them.

Four sets. The *old* set is what versions 1 and 2 were reported on, the *fresh* set what version 3
was reported on: their report halves have been seen. The *newest* set (``events_newest.py``) came
after that: other recordings, given to the halves by a rule fixed before any was listened to or run
(`half_of`). The method was finished before its report half was opened. The *latest* set
(``events_latest.py``) came for version 6 and only reports.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from events_latest import LATEST_BEDS, LATEST_IMPULSES
from events_newest import NEWEST_BEDS, NEWEST_IMPULSES

ROOT = Path(__file__).resolve().parent.parent
RATE = 16000
MEDIA = Path(os.environ.get("FORENSICS_MEDIA", ROOT.parent / "shared" / "media"))

#: Kind of each impulse source; the halves are by source recording (and by make of gun).
SHOTS = """bullet-rifle-1x bullet-sniper bullet-pistol bullet-shotgun bullet-smg-1x bullet-bolter
    bullet-pistol2 bullet-shotgunmini bullet-heavybolter grenade-launcher bullet-rifle""".split()
BLASTS = """explosion explosion-grenade explosion-rocket explosion-flashbang""".split()
BLOWS = """door1-close door2-close door3-close hitground2 hitground3 hitground4 bullet-impact
    knife-impact breakwood01 breakwood04 breakmetal01 breakmetal03""".split()
THUNDER = "thunder1 thunder2 thunder3".split()
#: Beds and what they are made of.
BEDS = {
    "tune": {
        "001 - Dog bark": "animals", "002 - Rain": "rain", "003 - Sea waves": "water, wind",
        "004 - Baby cry": "voices", "007 - Helicopter": "machines", "008 - Chainsaw": "machines",
        "009 - Rooster": "animals", "010 - Fire crackling": "crackle, ticks, drums",
        "trn01": "meeting with knocks", "crowd": "crowd", "speech-a": "voices",
    },
    "test": {
        "001 - Dog bark": "animals", "002 - Rain": "rain", "003 - Sea waves": "water, wind",
        "008 - Chainsaw": "machines", "trn02": "meeting with knocks",
        "trn03": "meeting with knocks", "engine": "machines", "speech-b": "voices",
        "city": "street", "jfk": "voices",
    },
}  # fmt: skip
#: Family -> (kind, files as parent/name). A family is one gun, one door, one recording session.
FRESH_IMPULSES = {
    "warzone2100-data/machine guns": ("shot", ("weapons/asltmg.ogg weapons/mgheavy.ogg "
                                      "weapons/mgtower.ogg")),
    "warzone2100-data/cannon": ("shot", ("weapons/lrgcan.ogg weapons/medcan.ogg weapons/smlcan.ogg "
                                "weapons/hivelcan.ogg")),
    "warzone2100-data/mortar": ("shot", "weapons/mortar.ogg"),
    "warzone2100-data/explosions": ("blast", ("explons/atnkexpl.ogg explons/lrgexpl.ogg "
                                    "explons/smlexpl.ogg explons/mpodexpl.ogg")),
    "openarena-data/shotgun": ("shot", "shotgun/sshotf1b.wav"),
    "openarena-data/machinegun": ("shot", ("machinegun/machgf1b.wav machinegun/machgf2b.wav "
                                  "machinegun/machgf3b.wav machinegun/machgf4b.wav")),
    "openarena-data/vulcan": ("shot", ("vulcan/vulcanf1b.wav vulcan/vulcanf2b.wav "
                              "vulcan/vulcanf3b.wav vulcan/vulcanf4b.wav")),
    "openarena-data/grenade": ("shot", "grenade/grenlf1a.wav"),
    "openarena-data/mine": ("blast", "proxmine/wstbexpl.wav"),
    "openarena-data/rocket": ("blast", "rocket/rocklx1a.wav"),
    "scorched3d-data/explosions": ("blast", ("explosions/small.wav explosions/medium.wav "
                                   "explosions/large.wav explosions/xlarge.wav")),
    "scorched3d-data/shoot": ("shot", ("shoot/small.wav shoot/medium.wav shoot/large.wav "
                              "shoot/xlarge.wav")),
    "scorched3d-data/shotgun": ("shot", "shoot/shotgun.wav"),
    "scorched3d-data/exp": ("blast", "explosions/exp.wav"),
    "scorched3d-data/thud": ("blow", "explosions/thud.wav"),
    "scorched3d-data/hit": ("blow", "shield/hit.wav shield/hit2.wav"),
    "wesnoth-1.16-data/gunshot": ("shot", "sounds/gunshot.wav"),
    "wesnoth-1.16-data/thunderstick": ("shot", "sounds/thunderstick.ogg"),
    "wesnoth-1.16-data/explosion": ("blast", "sounds/explosion.ogg"),
    "wesnoth-1.16-data/club": ("blow", "sounds/club.ogg"),
    "wesnoth-1.16-data/fist": ("blow", "sounds/fist.ogg"),
    "wesnoth-1.16-data/mace": ("blow", "sounds/mace.ogg sounds/mace.wav"),
    "wesnoth-1.16-data/staff": ("blow", "sounds/staff.ogg sounds/staff.wav"),
    "wesnoth-1.16-data/axe": ("blow", "sounds/axe.ogg"),
    "hedgewars-data/gun": ("shot", "Sounds/gun.ogg"),
    "hedgewars-data/shotgun": ("shot", "Sounds/shotgunfire.ogg"),
    "hedgewars-data/explosion": ("blast", "Sounds/explosion.ogg"),
    "hedgewars-data/bat": ("blow", "Sounds/baseballbat.ogg"),
    "hedgewars-data/hammer": ("blow", "Sounds/hammer.ogg"),
    "hedgewars-data/whip": ("blow", "Sounds/whipcrack.ogg"),
    "hedgewars-data/impacts": ("blow", ("Sounds/graveimpact.ogg Sounds/grenadeimpact.ogg "
                               "Sounds/melonimpact.ogg Sounds/mineimpact.ogg")),
    "sonic-pi-samples/door": ("blow", "samples/perc_door.flac"),
    "sonic-pi-samples/impact": ("blow", "samples/perc_impact1.flac samples/perc_impact2.flac"),
    "sonic-pi-samples/snap": ("blow", "samples/perc_snap.flac samples/perc_snap2.flac"),
    "lincity-ng-data/window": ("blow", "sounds/WindowClose.wav"),
}  # fmt: skip
#: Bed -> (kind, files); a star stands for anything. Recordings shorter than 2 s are passed over.
FRESH_BEDS = {
    "lincity-ng-data/traffic": ("street", "sounds/Trafic*"),
    "lincity-ng-data/market": ("crowd", "sounds/Market*"),
    "lincity-ng-data/school": ("crowd", "sounds/School* sounds/University*"),
    "lincity-ng-data/crowd": ("crowd", "sounds/SportsCroud*"),
    "lincity-ng-data/residential": ("street", "sounds/Residential*"),
    "lincity-ng-data/shanty": ("street", "sounds/Shanty*"),
    "lincity-ng-data/industry": ("machines", "sounds/Industry*"),
    "lincity-ng-data/mill": ("machines", "sounds/Mill*"),
    "lincity-ng-data/train": ("machines", "sounds/RailTrain*"),
    "lincity-ng-data/coal": ("machines", "sounds/PowerCoal*"),
    "lincity-ng-data/mine": ("crackle, ticks, drums", "sounds/CoalMine* sounds/OreMine*"),
    "lincity-ng-data/blacksmith": ("crackle, ticks, drums", "sounds/Blacksmith*"),
    "lincity-ng-data/building": ("crackle, ticks, drums", "sounds/MonumentConstruction*"),
    "lincity-ng-data/recycling": ("crackle, ticks, drums", "sounds/Recycle* sounds/Tip*"),
    "lincity-ng-data/farm": ("animals", "sounds/Farm* sounds/OrganicFarm*"),
    "lincity-ng-data/harbour": ("water, wind", "sounds/Harbor*"),
    "lincity-ng-data/water": ("water, wind", "sounds/Water*"),
    "lincity-ng-data/fire station": ("street", "sounds/FireStation*"),
    "lincity-ng-data/fire": ("crackle, ticks, drums", "sounds/Fire1* sounds/Fire2* sounds/Fire3*"),
    "lincity-ng-data/green": ("animals", "sounds/Green*"),
    "lincity-ng-data/music": ("music", "default/*.ogg"),
    "scorched3d-data/city": ("street", "misc/citysounds.wav"),
    "scorched3d-data/cheering": ("crowd", "misc/cheeringloop.wav"),
    "scorched3d-data/rain": ("rain", "misc/rain.wav"),
    "scorched3d-data/ocean": ("water, wind", "misc/oceanwaves.wav"),
    "scorched3d-data/factory": ("machines", "misc/factoryloop1.wav"),
    "scorched3d-data/helicopter": ("machines", "misc/helicopter.wav misc/apache_1.wav"),
    "scorched3d-data/sirens": ("street", "misc/firetruck.wav misc/policecar.wav misc/carhorn*"),
    "scorched3d-data/birds": ("animals", "misc/birds*"),
    "scorched3d-data/frogs": ("animals", "misc/frogs.wav"),
    "scorched3d-data/dogs": ("animals", "misc/dog*"),
    "scorched3d-data/jet": ("machines", "misc/jet.wav misc/cessna.wav misc/f1*"),
    "scorched3d-data/tank": ("machines", "movement/tankmove.wav"),
    "scorched3d-data/music": ("music", "music/*.ogg"),
    "openarena-data/drops": ("crackle, ticks, drums", "world/drops.wav"),
    "openarena-data/wind": ("water, wind", "world/wind*"),
    "openarena-data/fire": ("crackle, ticks, drums", "world/fire*"),
    "hedgewars-data/music rock": ("music", "Music/Rock.ogg Music/Freeway.ogg Music/City.ogg"),
    "hedgewars-data/music other": ("music", ("Music/pirate.ogg Music/oriental.ogg "
                                   "Music/Jungle.ogg")),
    "sonic-pi-samples/drums": ("crackle, ticks, drums", "samples/loop_*"),
    "wesnoth-1.16-data/war drums": ("crackle, ticks, drums", "sounds/wardrums.ogg"),
    "asterisk-core-sounds-fr-wav/speech": ("voices", "fr_CA_f_June/conf-* fr_CA_f_June/vm-*"),
    "asterisk-core-sounds-ru-wav/speech": ("voices", ("ru_RU_f_IvrvoiceRU/conf-* "
                                           "ru_RU_f_IvrvoiceRU/vm-*")),
    "asterisk-core-sounds-es-wav/speech": ("voices", ("es_MX_f_Allison/conf-* "
                                           "es_MX_f_Allison/vm-*")),
    "asterisk-core-sounds-it-wav/speech": ("voices", "it_IT_m_Carlo/conf-* it_IT_m_Carlo/vm-*"),
    "warzone2100-data/radio": ("voices", "tutorial/*"),
    **{f"hedgewars-data/music {name}": ("music", f"Music/{name}.ogg")
       for name in ("Beach", "Brick", "Castle", "Desert", "Golf", "hell", "Sheep")},
    "openarena-data/waterfall": ("water, wind", "world/waterfall.wav"),
    "openarena-data/machines": ("machines", ("world/tim_machine.wav world/machinerydrone* "
                                "world/fan*")),
}  # fmt: skip
#: Classes of ESC-10 that the old set does not use in this half; the folds keep the halves apart.
FRESH_ESC = {
    "tune": {"005 - Clock tick": "crackle, ticks, drums", "006 - Person sneeze": "voices"},
    "test": {
        "004 - Baby cry": "voices", "005 - Clock tick": "crackle, ticks, drums",
        "006 - Person sneeze": "voices", "007 - Helicopter": "machines",
        "009 - Rooster": "animals", "010 - Fire crackling": "crackle, ticks, drums",
    },
}  # fmt: skip

Item = tuple[str, str, np.ndarray, int]
Family = tuple[str, list[Item]]


@dataclass(frozen=True)
class Bed:
    """A background: `top_hz` is the highest frequency its own recording can hold."""

    name: str
    kind: str
    samples: np.ndarray
    top_hz: float = RATE / 2


def half_of(family: str) -> str:
    """The half of a fresh family: by the parity of the first byte of its name's SHA-256."""
    return "test" if hashlib.sha256(family.encode()).digest()[0] % 2 else "tune"


def load(path: Path) -> np.ndarray:
    """Mono samples at the detector's rate."""
    import av

    parts = []
    with av.open(str(path), metadata_errors="ignore") as container:
        change = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            parts += [f.to_ndarray()[0] for f in change.resample(frame)]
        parts += [f.to_ndarray()[0] for f in change.resample(None)]
    return np.concatenate(parts).astype(np.float32)


def onset_of(samples: np.ndarray) -> int:
    """Where the 1 ms envelope first comes within 10 dB of its peak."""
    count = len(samples) // 16
    power = (samples[: count * 16].reshape(count, 16) ** 2).mean(axis=1)
    return int(np.argmax(power >= power.max() / 10)) * 16


def sudden_onsets(samples: np.ndarray, least_db: float, *, short: bool = True) -> np.ndarray:
    """Times (s) of sudden onsets, by the plain level alone: what "an impulse" means without us.

    The 5 ms level (all frequencies, every 2.5 ms) rises 10 dB over the loudest of the 100 ms
    before within 10 ms, to `least_db` or more, and (`short`) is 6 dB down again on average 60 to
    160 ms later. Nothing of the detector under test is used.
    """
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    count = len(samples) // 40
    power = (samples[: count * 40].reshape(count, 40).astype(np.float64) ** 2).mean(axis=1)
    level = 10 * np.log10(uniform_filter1d(power, 2) + 1e-12)
    ahead = maximum_filter1d(level, 5, origin=-2)
    before = maximum_filter1d(np.pad(level, (22, 0), mode="edge")[:count], 40)
    later = uniform_filter1d(np.pad(level, (0, 44), mode="edge"), 40)[44 : 44 + count]
    strength = ahead - before
    hit = (strength >= 10) & (ahead >= least_db) & ((ahead - later >= 6) | (not short))
    hit &= strength == maximum_filter1d(strength, 21)
    times = np.flatnonzero(hit) * 0.0025
    return times[np.diff(times, prepend=-1) > 0.02]


def later_onsets(sound: np.ndarray, onset: int) -> list[float]:
    """Seconds from a recording's onset to its own later ones: a pump action after a shot."""
    lead = np.pad(sound, (RATE // 4, RATE // 4))
    times = sudden_onsets(lead, peak_db(sound) - 20, short=False) - 0.25 - onset / RATE
    return [float(t) for t in times if t > 0.03]


def _impulse(path: Path, name: str, kind: str, seconds: float = 1.5) -> Item:
    data = load(path)
    at = onset_of(data)
    begin = max(0, at - 160)
    data = data[begin : at + round(seconds * RATE)].copy()
    if seconds == 1.5:
        fade = min(len(data), 1600)
        data[-fade:] *= np.linspace(1, 0, fade)
    return name, kind, data, at - begin


def impulses(sounds: Path) -> dict[str, list[Item]]:
    """The old set: (name, kind, samples from just before the onset, onset index), by half."""
    halves: dict[str, list[Item]] = {"tune": [], "test": []}
    files = {p.stem: p for p in sorted(sounds.rglob("*.ogg"))}
    number = 0
    for kind, names in (("shot", SHOTS), ("blast", BLASTS), ("blow", BLOWS), ("thunder", THUNDER)):
        for name in names:
            if name not in files:
                continue
            item = _impulse(files[name], name, kind)
            halves["tune" if number % 2 == 0 else "test"].append(item)
            number += 1
    real = MEDIA / "audio_multi/tdoa_gunshot/microphone/Audio_20240514T194706.wav"
    if real.exists():
        halves["test"].append(_impulse(real, "field-shot", "shot", 1.0))
    return halves


def beds(half: str, sounds: Path) -> list[Bed]:
    """The old set's backgrounds of 40 s; ESC-10 fold 1 tunes, fold 2 reports."""
    fold = "1-" if half == "tune" else "2-"
    found = []
    for name, kind in BEDS[half].items():
        if name[:3].isdigit():
            files = sorted((MEDIA / "audio_events/esc10" / name).glob(fold + "*.ogg"))
        else:
            pool = MEDIA / "audio_events"
            files = {
                "trn01": [pool / "pyannote_ami/tests/data/trn01.wav"],
                "trn02": [pool / "pyannote_ami/tests/data/trn02.wav"],
                "trn03": [pool / "pyannote_ami/tests/data/trn03.wav"],
                "crowd": [pool / "max_freesound/crowd_cheering.wav"],
                "engine": [pool / "max_freesound/car_engine.wav"],
                "jfk": [pool / "jfk/jfk.flac"],
                "speech-a": sorted((pool / "pocketsphinx").glob("*.wav")),
                "speech-b": [MEDIA / "audio_multi/bbc/timbl_1.mp3"],
                "city": list(sounds.rglob("sand-city.ogg")),
            }[name]
        if files:
            found.append(Bed(name, kind, joined([load(f) for f in files], 40 * RATE)))
    return found


def families(table: dict[str, tuple[str, str]], half: str, more: Path) -> list[Family]:
    """The families of a table and half (of both, if empty) that have an onset to speak of.

    A recording whose 5 ms level does not come up by 15 dB within 20 ms has none within 50 ms: it
    is left out, by this rule alone.
    """
    found = []
    for family, (kind, names) in table.items():
        if half and half_of(family) != half:
            continue
        items = []
        for path in _files(more, family.split("/")[0], names):
            item = _impulse(path, f"{family} ({path.name})", kind)
            lead = np.pad(item[2], (round(0.2 * RATE), 0))[: item[3] + round(0.25 * RATE)]
            count = len(lead) // 80
            level = 10 * np.log10((lead[: count * 80].reshape(count, 80) ** 2).mean(axis=1) + 1e-9)
            top = int(np.argmax(level))
            first = int(np.argmax(level >= level[top] - 10))
            if level[max(0, first - 4) : first].min(initial=-90) <= level[first] - 15:
                items.append(item)
        if items:
            found.append((family, items))
    return found


def fresh_impulses(half: str, more: Path) -> list[Family]:
    """The fresh set's families."""
    return families(FRESH_IMPULSES, half, more)


def newest_impulses(half: str, more: Path) -> list[Family]:
    """The newest set's families."""
    return families(NEWEST_IMPULSES, half, more)


def latest_impulses(more: Path) -> list[Family]:
    """The latest set's families, without recordings that hold a later onset of their own."""
    found = families(LATEST_IMPULSES, "", more)
    single = [
        (family, [item for item in items if not later_onsets(item[2], item[3])])
        for family, items in found
    ]
    return [(family, items) for family, items in single if items]


def latest_beds(more: Path) -> list[Bed]:
    """The latest set's backgrounds, 40 s each."""
    return _beds(LATEST_BEDS, "", more)


def newest_beds(half: str, more: Path) -> list[Bed]:
    """The newest set's backgrounds of this half, 40 s each."""
    return _beds(NEWEST_BEDS, half, more)


def _beds(table: dict[str, tuple[str, str]], half: str, more: Path) -> list[Bed]:
    import av

    found = []
    for name, (kind, names) in table.items():
        if half and half_of(name) != half:
            continue
        parts, top = [], RATE / 2
        for path in _files(more, name.split("/")[0], names):
            data = load(path)[: 60 * RATE]
            if len(data) >= 2 * RATE:
                parts.append(data)
                with av.open(str(path), metadata_errors="ignore") as container:
                    top = min(top, 0.45 * container.streams.audio[0].rate)
            if sum(map(len, parts)) > 90 * RATE:
                break
        if parts:
            found.append(Bed(name, kind, joined(parts, 40 * RATE), top))
    return found


def fresh_beds(half: str, more: Path) -> list[Bed]:
    """The fresh set's backgrounds of this half, 40 s each."""
    found = _beds(FRESH_BEDS, half, more)
    fold = "1-" if half == "tune" else "2-"
    for name, kind in FRESH_ESC[half].items():
        files = sorted((MEDIA / "audio_events/esc10" / name).glob(fold + "*.ogg"))
        if files:
            found.append(Bed(name, kind, joined([load(f) for f in files], 40 * RATE)))
    return found


def _files(more: Path, package: str, names: str) -> list[Path]:
    import fnmatch

    here = sorted(p for p in (more / package).rglob("*.*") if p.is_file())
    keys = [f"{p.parent.name}/{p.name}" for p in here]
    return [
        path for name in names.split() for path, key in zip(here, keys, strict=True)
        if fnmatch.fnmatchcase(key, name)
    ]  # fmt: skip


def joined(parts: list[np.ndarray], length: int) -> np.ndarray:
    """Recordings one after another without a joint to hear: padding off, one level, 0.3 s fades."""
    fade = round(0.3 * RATE)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    out = np.zeros(0, np.float32)
    number = 0
    while len(out) < length:
        part = parts[number % len(parts)]
        number += 1
        alive = np.flatnonzero(np.abs(part) > 1e-4)
        part = part[alive[0] : alive[-1] + 1] if len(alive) else part[:0]
        if len(part) < 3 * fade:
            if number > 3 * len(parts):
                break
            continue
        part = part * (0.05 / max(float(np.sqrt(np.median(part**2))), 0.005))
        if len(out):
            out[-fade:] = out[-fade:] * (1 - ramp) + part[:fade] * ramp
            part = part[fade:]
        out = np.concatenate([out, part])
    out = out[:length]
    return out * (0.5 / max(float(np.abs(out).max()), 1e-6))


def peak_db(samples: np.ndarray) -> float:
    """Level of the loudest 10 ms."""
    count = len(samples) // 160
    if not count:
        return -120.0
    power = (samples[: count * 160].reshape(count, 160) ** 2).mean(axis=1).max()
    return float(10 * np.log10(power + 1e-12))


def loud_db(bed: np.ndarray) -> float:
    """95th percentile of the 10 ms level."""
    count = len(bed) // 160
    power = (bed[: count * 160].reshape(count, 160) ** 2).mean(axis=1)
    return float(10 * np.log10(np.quantile(power, 0.95) + 1e-12))
