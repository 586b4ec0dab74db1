"""What the kernel saw: no program that a command starts asks for a connection.

The socket guard sees Python's own sockets only. Here strace watches the command line with all its
children (decoder, models, exiftool, batch), over files that name a host they want to be asked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST = "192.0.2.1"
#: ISO 16684-3: the box that holds XMP in an MP4.
XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
PROVENANCE = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="http://{HOST}/manifest.c2pa"/>
</rdf:RDF></x:xmpmeta>"""
COMMANDS = """
import sys
from forensics import cli, exchange
from forensics.clip import open_clip
from forensics.errors import ForensicsError
step = ["--step", "vehicles.find_vehicles"]
for arguments in (["open"], ["edits"], ["batch", "--jobs", "1", *step, "-o", sys.argv[2]]):
    assert cli.main([*arguments, "--json", sys.argv[1]]) in (0, 3), arguments
    print("ran", arguments[0])
try:
    print("credentials", exchange.read_credentials(open_clip(sys.argv[1] + "/named.mp4")))
except ForensicsError as error:
    print("credentials", type(error).__name__)
"""


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-f", "--seccomp-bpf", "-e", "trace=connect", "-o",
                           os.devnull, "true"], capture_output=True)  # fmt: skip
    return done.returncode == 0


@pytest.mark.skipif(not _can_trace(), reason="no strace here, or it may not trace")
def test_the_kernel_is_asked_for_no_connection(moving: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    xmp = XMP + PROVENANCE.encode()
    box = (len(xmp) + 8).to_bytes(4, "big") + b"uuid" + xmp
    (folder / "named.mp4").write_bytes(moving.read_bytes() + box)
    (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:10,\nhttp://{HOST}/x.ts\n")
    (folder / "list.mp4").write_text(f"ffconcat version 1.0\nfile http://{HOST}/x.mp4\n")
    log = tmp_path / "calls"
    # The guard is left out: what is asked is whether anything tries, not whether it is refused.
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg", "-o", str(log),
         sys.executable, "-c", COMMANDS, str(folder), str(tmp_path / "rows.jsonl")],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("\nran ") + done.stdout.startswith("ran ") >= 3
    assert "credentials" in done.stdout
    calls = log.read_text()
    assert "exited with 0" in calls
    asked = [line for line in calls.splitlines() if re.search("AF_INET|AF_NETLINK|sin_addr", line)]
    assert not asked, asked[:5]


def test_no_runtime_reports_to_its_makers() -> None:
    """ONNX Runtime does, from 1.29 on, unless told otherwise before it is imported."""
    code = "import forensics, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=os.environ | {"ORT_DISABLE_TELEMETRY": "0"})  # fmt: skip
    assert done.stdout == "1\n"


@pytest.mark.skipif(not _can_trace(), reason="no strace here, or it may not trace")
def test_the_watch_would_have_seen_one(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    code = f"import socket; s = socket.socket(); s.settimeout(0.1); s.connect_ex(('{HOST}', 9))"
    subprocess.run(["strace", "-f", "-e", "trace=connect", "-o", str(log), sys.executable, "-c",
                    code], env=os.environ | {"PYTHONPATH": ""}, check=True)  # fmt: skip
    assert "AF_INET" in log.read_text()
