"""Names, sizes and contents made to hurt: refused or printed, never obeyed."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from making import moving_square, write_video
from typer.testing import CliRunner

from forensics import batch, cli
from forensics.clip import Limits, open_clip
from forensics.errors import ClipError, ClipRefused, ClipUnreadable, ForensicsError, printable
from forensics.incident import Incident

NAMES = [
    b"-rf.wav", b"--json.wav", b"@list.wav", b"concat:a|b.wav", b"http:--host-x.wav",
    b"https:__192.0.2.1_x.wav", b"file:x.wav", b"pipe:0.wav", b"data:,x.wav", b"tcp:1.wav",
    b"a\nb.wav", b"a\n-execute\nb.wav", b"x\n-overwrite_original\n-Title=owned\nvictim.wav",
    b"\r\n.wav", b"\x1b[31mred.wav", b"\xff\xfe.wav", b"caf\xe9.wav", b"%d.wav", b"[0-9].wav",
    b"$(touch owned).wav", b"`touch owned`.wav", b"'; touch owned;.wav", b" .wav", b"a\\nb.wav",
    "\u202egpj.wav".encode(), "ОМОН.wav".encode(),
]  # fmt: skip
COMMANDS = ["open", "keyframes", "cuts", "edits", "events", "clock", "copies", "catalogue", "align"]


def _sound(path: bytes, seed: int) -> str:
    with open(path, "wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes((seed * 7 + n * n) % 251 for n in range(8000)))
    with open(path, "rb") as written:
        return hashlib.sha256(written.read()).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    for number, name in enumerate(NAMES):
        _sound(os.path.join(os.fsencode(place), name), number)
    return place


@pytest.fixture(autouse=True)
def _nothing_in_the_folder_changes(folder: Path, tmp_path: Path) -> Iterator[None]:
    def state() -> dict[bytes, tuple[str, int]]:
        found = {}
        for entry in os.scandir(os.fsencode(folder)):
            with open(entry.path, "rb") as file:
                found[entry.name] = (hashlib.sha256(file.read()).hexdigest(),
                                     entry.stat().st_mtime_ns)  # fmt: skip
        return found

    here = os.getcwd()
    os.chdir(tmp_path)
    before = state()
    yield
    os.chdir(here)
    assert state() == before, "a file of the evidence changed, came or went"
    assert not (tmp_path / "owned").exists()


def test_each_file_is_itself(folder: Path) -> None:
    for number, name in enumerate(NAMES):
        path = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))
        clip = open_clip(path)
        with open(os.fsencode(path), "rb") as file:
            assert clip.digest == hashlib.sha256(file.read()).hexdigest(), number
        assert clip.name.isprintable() and "\n" not in clip.name


def _digests(folder: Path) -> dict[str, str]:
    """What each file holds, by the name under which it may be shown."""
    found = {}
    for path in folder.iterdir():
        with open(path, "rb") as file:
            found[printable(path.name)] = hashlib.sha256(file.read()).hexdigest()
    assert len(found) == len(NAMES)
    return found


def _invoke(*arguments: str | Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(cli.app, [os.fspath(a) for a in arguments])
    failed = isinstance(done.exception, ForensicsError)
    assert done.exit_code in (0, 1, 3) or failed, (arguments, done.output[-400:], done.exception)
    return done.exit_code, done.stdout.splitlines()


def _check_attribution(lines: list[str], known: dict[str, str]) -> int:
    seen = 0
    for line in lines:
        assert line.startswith("{") and line.isprintable(), line[:200]
        row = json.loads(line)
        for digest, name in row.get("names", {}).items():
            assert known[name] == digest
            seen += 1
        inputs = row.get("origin", {}).get("inputs", [])
        shown = row.get("clip") or row.get("path")
        if shown and (len(inputs) == 1 or row.get("digest")):
            name = shown.rsplit("/", 1)[-1]
            assert known[name] == (row.get("digest") or inputs[0]), name
            seen += 1
    return seen


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_changes_or_confuses_a_file(command: str, folder: Path) -> None:
    known = _digests(folder)
    _, lines = _invoke(command, "--json", "--", folder)
    assert command == "copies" or _check_attribution(lines, known) >= len(NAMES)


@pytest.mark.parametrize("command", ["open", "events"])
def test_names_given_one_by_one_from_inside_the_folder(command: str, folder: Path) -> None:
    known = _digests(folder)
    os.chdir(folder)
    _, lines = _invoke(command, "--json", "--", *(os.fsdecode(name) for name in NAMES))
    assert _check_attribution(lines, known) == len(NAMES)


def test_a_case_of_them_from_reconstruction_to_seal(folder: Path, tmp_path: Path) -> None:
    """Every command about a case; a name that is not UTF-8 comes in through a link."""
    case = tmp_path / "case"
    case.mkdir()
    text, digests = 'title = "hostile names"\n', {}
    for number, name in enumerate(NAMES):
        path = Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))
        with open(path, "rb") as file:
            digests[f"clip-{number}"] = hashlib.sha256(file.read()).hexdigest()
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            link = case / f"link-{number}"
            link.symlink_to(path)
            path = link
        text += f'[[clips]]\nid = "clip-{number}"\npath = {json.dumps(str(path))}\n'
    (case / "incident.toml").write_text(text, "utf-8")
    _invoke("reconstruct", case, "--json")
    incident = Incident.open(case)
    opened, failures = incident.open_clips()
    assert not failures and {n: c.digest for n, c in opened.items()} == digests
    for suffix in ("html", "pdf", "docx"):
        assert _invoke("appendix", case, "-o", tmp_path / f"a.{suffix}")[0] == 0
    page = (tmp_path / "a.html").read_text("utf-8")
    assert all(digest in page for digest in digests.values())
    assert not any(c in page for c in "\x1b\u202e\r")
    for name in ("a.otio", "a.xml", "a.eaf", "a.vtt", "a.csv", "a.json", "a.jsonld", "crate"):
        assert _invoke("export", case, "-o", tmp_path / name)[0] == 0
    code, rows = _invoke("verify", case, "--json")
    assert code == 0 and sum(json.loads(row)["state"] == "intact" for row in rows) > len(NAMES)
    assert _invoke("replay", case / "ledger.jsonl", "--line", str(len(NAMES) + 1), "--json")[0] == 0
    assert _invoke("seal", case)[0] == 0


@pytest.mark.parametrize("name", [NAMES[0], NAMES[2], NAMES[3], NAMES[12], NAMES[15], NAMES[17]])
@pytest.mark.parametrize("command", ["redact", "listen"])
def test_a_copy_is_made_of_the_file_that_was_named(
    command: str, name: bytes, tmp_path: Path
) -> None:
    place = tmp_path / "evidence"
    place.mkdir()
    os.chdir(place)
    file = name.replace(b".wav", b".mp4")
    pictures = moving_square(10, width=96, height=64)
    sound = np.random.default_rng(1).normal(0, 0.1, 40000).astype(np.float32)
    made = write_video(tmp_path / "made.mp4", pictures, sound=sound).read_bytes()
    for each in (file, b"victim.mp4", b"y.mp4"):
        with open(each, "wb") as out:
            out.write(made)
    out = tmp_path / ("copy.mp4" if command == "redact" else "copy.wav")
    # Options first: after "--" everything is a name.
    assert _invoke(command, "-o", out, "--json", "--", os.fsdecode(file))[0] == 0
    assert out.stat().st_size > 500
    found = sorted(os.listdir(os.fsencode(place)))
    assert found == sorted({file, b"victim.mp4", b"y.mp4"})
    for each in found:
        with open(each, "rb") as left:
            assert left.read() == made


def test_a_batch_of_them_attributes_every_row(folder: Path, tmp_path: Path) -> None:
    steps = (("container.find_discontinuities", {}),)
    out = batch.run_batch(folder, tmp_path / "rows.jsonl", steps=steps, jobs=2).out
    rows = {r["clip"]: r["digest"] for r in map(json.loads, out.read_bytes().splitlines())}
    for shown, path in batch.find_clips(folder):
        with open(os.fsencode(path), "rb") as file:
            assert rows[shown] == hashlib.sha256(file.read()).hexdigest(), shown
    assert len(rows) == len(NAMES)
    page = batch.write_page(out, tmp_path / "page.html").read_text("utf-8")
    assert page.count("<tr data-outcome=") == len(NAMES)


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://192.0.2.1/x.ts\n",
    "b.mp4": "ffconcat version 1.0\nfile http://192.0.2.1/x.mp4\n",
    "c.mpd": '<?xml version="1.0"?><MPD><BaseURL>http://192.0.2.1/</BaseURL></MPD>',
    "d.sdp": "v=0\no=- 0 0 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\nm=video 5004 RTP/AVP 96\n",
    "e.asx": '<ASX><ENTRY><REF HREF="http://192.0.2.1/x"/></ENTRY></ASX>',
    "f.wav": "concat:http://192.0.2.1/x|y",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_calls_nobody(
    name: str, tmp_path: Path, network_attempts: Callable[[], list[str]]
) -> None:
    path = tmp_path / name
    path.write_text(PLAYLISTS[name])
    with pytest.raises(ClipError):
        open_clip(path)
    assert not network_attempts()


def test_credentials_that_name_a_host_call_nobody(
    media: Path, network_attempts: Callable[[], list[str]]
) -> None:
    pytest.importorskip("c2pa")
    from forensics import exchange

    files = [p for p in sorted((media / "containers").rglob("*")) if "c2pa" in str(p).lower()
             and p.suffix in (".mp4", ".mov", ".m4a")]  # fmt: skip
    if not files:
        pytest.skip("no files with credentials here")
    said = []
    for path in files[:6]:
        try:
            said.append(exchange.read_credentials(open_clip(path, metadata=False)))
        except ClipError:
            continue
    assert said and not network_attempts()
    assert all(claim.kind == "c2pa" and claim.statements["state"] for claim in said)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _movie(width: int, height: int, tracks: int, duration: int, scale: int = 1000) -> bytes:
    """An MP4 that claims what it is told to, with one empty sample table a track."""
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    head = _box(b"mvhd", struct.pack(">4xIIII", 0, 0, scale, duration) + struct.pack(">IH10x",
                65536, 256) + matrix + bytes(24) + struct.pack(">I", tracks + 1))  # fmt: skip
    visual = struct.pack(">6xH16xHHII4xH32xHh", 1, width, height, 72 << 16, 72 << 16, 1, 24, -1)
    avcc = _box(b"avcC", bytes([1, 66, 0, 30, 255, 224, 0]))
    entry = _box(b"avc1", visual + avcc)
    stsd = _box(b"stsd", struct.pack(">II", 0, 1) + entry)
    rest = (
        _box(b"stts", struct.pack(">IIII", 0, 1, 1, duration & 0xFFFFFFFF))
        + _box(b"stsc", struct.pack(">IIIII", 0, 1, 1, 1, 1))
        + _box(b"stsz", struct.pack(">III", 0, 16, 1))
        + _box(b"stco", struct.pack(">III", 0, 1, 40))
    )  # fmt: skip
    table = _box(b"stbl", stsd + rest)
    made = b""
    for number in range(1, tracks + 1):
        tkhd = _box(b"tkhd", struct.pack(">IIIII4xI", 7, 0, 0, number, 0, duration)[:24]
                    + struct.pack(">I", duration) + bytes(16) + matrix
                    + struct.pack(">II", width << 16, height << 16))  # fmt: skip
        mdhd = _box(b"mdhd", struct.pack(">4xIIIII", 0, 0, scale, duration, 0x55C40000))
        hdlr = _box(b"hdlr", struct.pack(">8x4s12x", b"vide") + b"\0")
        dinf = _box(b"dinf", _box(b"dref", struct.pack(">II", 0, 1) + _box(b"url ", b"\0\0\0\1")))
        minf = _box(b"minf", _box(b"vmhd", bytes(12)) + dinf + table)
        made += _box(b"trak", tkhd + _box(b"mdia", mdhd + hdlr + minf))
    kind = _box(b"ftyp", b"isom\0\0\2\0isom")
    return kind + _box(b"mdat", bytes(64)) + _box(b"moov", head + made)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (_movie(12000, 12000, 1, 1000), "pixels"),
        (_movie(64, 64, 1, 0x7FFFFFFF, 1), "hours"),
        (_movie(64, 64, 1000, 1000), "streams"),
    ],
    ids=["a bomb of pixels", "an endless duration", "a thousand streams"],
)
def test_what_asks_for_too_much_is_refused(made: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.mp4"
    path.write_bytes(made)
    with pytest.raises(ClipRefused, match=why):
        open_clip(path, metadata=False)
    with pytest.raises((ClipRefused, ClipUnreadable)):
        open_clip(path, metadata=False, limits=Limits(pixels=1, duration_s=1, streams=1))


def test_the_command_line_refuses_them_with_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mp4"
    path.write_bytes(_movie(12000, 12000, 1, 1000))
    done = subprocess.run(
        [sys.executable, "-m", "forensics.cli", "keyframes", "--json", str(path)],
        capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode in (1, 3) and "Traceback" not in done.stderr
    assert "ClipRefused" in done.stdout + done.stderr or "pixels" in done.stdout + done.stderr
