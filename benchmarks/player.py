"""The player in a real browser: frame-step error, drift while playing, requests to outside.

    python benchmarks/player.py

Needs chromium and chromedriver. Three clips are made whose frames carry their number as a grey
level; the page is the one `player.write_player` writes, with a script appended that steps, plays
and reads the pictures back from the screen. Requests are those the browser's own log names. Results
go to results/player.json.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np

import forensics
from forensics import player
from forensics.model import Alignment, Clip, Origin, Placement, Quantity

#: A request that the probe makes on purpose, to see that the log would show one.
CONTROL = "http://127.0.0.1:9/control"
RATE, COUNT, OFFSETS = 25, 300, (0.0, 1.237, 2.5)

PROBE = """
<canvas id="c" width="160" height="90" hidden></canvas>
<script type="module">
const wait = (ms) => new Promise((r) => setTimeout(r, ms));
const context = document.getElementById("c").getContext("2d", { willReadFrequently: true });
function read(video) {
  context.drawImage(video, 0, 0, 160, 90);
  const p = context.getImageData(20, 20, 40, 50).data;
  let s = 0;
  for (let i = 0; i < p.length; i += 4) s += p[i];
  return s / (p.length / 4);
}
const settled = (v) => new Promise((r) => {
  if (!v.seeking) { setTimeout(r, 30); return; }
  v.addEventListener("seeked", () => setTimeout(r, 30), { once: true });
  setTimeout(r, 2000);
});
try {
  await wait(1500);
  const p = window.player, steps = [], errors = [], drift = [];
  p.seek(3.0);
  await wait(600);
  for (let k = 0; k < 24; k++) {
    p.step(k % 5 === 4 ? -1 : 1);
    await Promise.all(p.clips.map((c) => settled(c.video)));
    for (const clip of p.clips) {
      const want = clip.frames.length ? p.frameAt(clip, p.local(clip, p.state.time)) : -1;
      const level = 20 + 16 * (want % 14);
      errors.push(Math.abs(read(clip.video) - level));
    }
    steps.push(p.state.time);
  }
  p.seek(3.0);
  p.clips.forEach((c) => { c.video.muted = true; });
  await wait(400);
  p.play();
  const begun = performance.now();
  while (performance.now() - begun < 7000) {
    await new Promise(requestAnimationFrame);
    if (performance.now() - begun < 1500) continue;
    for (const c of p.clips) {
      if (!c.video.paused) drift.push(Math.abs(c.video.currentTime - p.local(c, p.state.time)));
    }
  }
  const advances = steps.slice(1).map((t, k) => t - steps[k]);
  await fetch("CONTROL").catch(() => 0);
  document.body.dataset.result = JSON.stringify({ errors, drift, advances });
} catch (error) {
  document.body.dataset.result = JSON.stringify({ failed: String(error) });
}
</script></body>
"""


def make_clip(path: Path, base: int) -> Clip:
    """A film whose frame n has grey 20 + 16 * (n mod 14) on its left half."""
    rng = np.random.default_rng(base)
    wall = rng.integers(0, 255, (180, 160, 3), np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for n in range(COUNT):
            picture = np.full((180, 320, 3), 20 + 16 * (n % 14), np.uint8)
            picture[:, 160:] = np.roll(wall, n, axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return forensics.open_clip(path, metadata=False)


def browse(page: str, profile: Path, *, wait_s: float = 90.0) -> tuple[dict[str, Any], list[str]]:
    """Open a page in headless chromium: what its script measured, every address it asked for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def call(path: str, body: dict[str, Any] | None = None, kind: str = "POST") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"},
            method=kind,
        )  # fmt: skip
        # No proxy: the driver is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=wait_s) as answer:
            return json.loads(answer.read())["value"]

    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio",
             "--autoplay-policy=no-user-gesture-required",
             f"--user-data-dir={profile}"]  # fmt: skip
    wanted = {"goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": {"performance": "ALL"}}
    try:
        for _ in range(100):
            try:
                call("/status", kind="GET")
                break
            except OSError:
                time.sleep(0.1)
        session = call("/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        at = f"/session/{session}"
        try:
            call(f"{at}/url", {"url": page})
            said, begun = None, time.monotonic()
            while said is None and time.monotonic() - begun < wait_s:
                time.sleep(0.5)
                asked = {"script": "return document.body.dataset.result || null", "args": []}
                said = call(f"{at}/execute/sync", asked)
            log = [json.loads(x["message"])["message"] for x in call(f"{at}/se/log",
                   {"type": "performance"})]  # fmt: skip
        finally:
            call(at, kind="DELETE")
    finally:
        driver.terminate()
        driver.wait()
    # The browser's own start page asks for things, too: only the page's are counted.
    sent = [x["params"] for x in log if x["method"] == "Network.requestWillBeSent"]
    names = [x["request"]["url"] for x in sent if x["documentURL"] == page]
    if said is None:
        sys.exit("the page gave no result")
    return json.loads(said), names


def main() -> None:
    """Run the page in headless chromium and write what it measured."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        sys.exit("chromium or chromedriver is not installed: nothing measured")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        clips = [make_clip(place / f"clip{n}.mp4", n) for n in range(len(OFFSETS))]
        exact = Quantity.exact(0.0, "ppm")
        align = Alignment(
            Origin("benchmark", "1", tuple(c.digest for c in clips), {}, {}), clips[0].digest,
            tuple(
                Placement(c.digest, Quantity(o, "s", o - 0.01, o + 0.01), exact, "sound", ())
                for c, o in zip(clips, OFFSETS, strict=True)
            ), (), (tuple(c.digest for c in clips),), (),
        )  # fmt: skip
        page = player.write_player(align, clips, place / "page.html", unredacted=True)
        size = page.stat().st_size
        probed = place / "probe.html"
        # Without its policy the page could ask for anything: that it does not is measured.
        policy = r'<meta http-equiv="Content-Security-Policy"[^>]*>'
        text = re.sub(policy, "", page.read_text("utf-8"))
        probe = PROBE.replace("CONTROL", CONTROL)
        probed.write_text(text.replace("</body>", probe), "utf-8")
        said, asked = browse(probed.as_uri(), place / "profile")
    if "failed" in said:
        sys.exit(said["failed"])
    if CONTROL not in asked:
        sys.exit("the browser's log misses a request that was made: nothing counted")
    asked.remove(CONTROL)
    own = ("blob:", "data:", probed.as_uri())
    outside = [name for name in asked if not name.startswith(own)]
    errors, drift = np.array(said["errors"]), np.array(said["drift"])
    result = {
        "measured": datetime.now(UTC).date().isoformat(), "clips": len(OFFSETS), "fps": RATE,
        "steps_read": len(errors), "steps_showing_another_frame": int((errors > 8).sum()),
        "drift_samples": len(drift),
        "drift_p50_ms": round(1000 * float(np.quantile(drift, 0.5)), 1) if len(drift) else None,
        "drift_p95_ms": round(1000 * float(np.quantile(drift, 0.95)), 1) if len(drift) else None,
        "requests": len(asked), "outside_requests": len(outside),
        "page_bytes_per_clip_minute": round(size / len(OFFSETS) / (COUNT / RATE) * 60),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    out = Path(__file__).resolve().parent / "results" / "player.json"
    out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
