// Several clips on one clock. No request leaves the page: media are handed in as bytes.
// Incident time T; a clip shows its own time (T - offset) / rate, proxies start at `start`.
const CSS = `
.fx{font:13px system-ui,sans-serif;color:#222;background:#fff;padding:8px}
.fx-grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:8px}
.fx figure{margin:0;border:1px solid #bbb;padding:4px;position:relative}
.fx video{width:100%;display:block;background:#ddd;aspect-ratio:16/9;object-fit:contain}
.fx .off video{visibility:hidden}
.fx .off::after{content:"not recording at this time";position:absolute;top:35%;left:0;right:0;
text-align:center;color:#666}
.fx figcaption{font-size:12px}
.fx .on{outline:2px solid #2f75b5}
.fx-bar{display:flex;gap:6px;align-items:center;margin:8px 0;flex-wrap:wrap}
.fx-bar input[type=range]{flex:1;min-width:200px}
.fx output{font-variant-numeric:tabular-nums;min-width:9em}
.fx button{font:inherit}
`;

function stamp(t) {
  const s = Math.abs(t), m = Math.floor(s / 60);
  return (t < 0 ? "-" : "") + m + ":" + (s - 60 * m).toFixed(3).padStart(6, "0");
}

export function bytesOf(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

export function mount(root, data) {
  const style = document.createElement("style");
  style.textContent = CSS;
  const box = document.createElement("div");
  box.className = "fx";
  root.append(style, box);
  const grid = document.createElement("div");
  grid.className = "fx-grid";
  const bar = document.createElement("div");
  bar.className = "fx-bar";
  const jumps = document.createElement("div");
  jumps.className = "fx-bar";
  box.append(grid, bar, jumps);

  const state = { time: data.from_s, playing: false, speed: 1, anchor: 0, selected: 0 };
  const urls = [];
  const clips = data.clips.map((clip, number) => {
    const figure = document.createElement("figure");
    const video = document.createElement("video");
    const url = URL.createObjectURL(new Blob([clip.media], { type: "video/mp4" }));
    urls.push(url);
    video.src = url;
    video.preload = "auto";
    video.playsInline = true;
    video.muted = number > 0;
    const caption = document.createElement("figcaption");
    const name = document.createElement("b");
    name.textContent = clip.name;
    const told = document.createElement("div");
    told.textContent = clip.told;
    const mute = document.createElement("button");
    const label = () => { mute.textContent = video.muted ? "unmute" : "mute"; };
    label();
    mute.onclick = () => { video.muted = !video.muted; label(); };
    const own = document.createElement("output");
    caption.append(name, told, mute, " ", own);
    figure.append(video, caption);
    figure.onclick = () => select(number);
    grid.append(figure);
    return { ...clip, video, figure, own };
  });

  const local = (clip, t) => (t - clip.offset) / clip.rate - clip.start;
  const global = (clip, own) => (own + clip.start) * clip.rate + clip.offset;
  // The frame on show at a time of the proxy, and the middle of its stay: a seek to the middle
  // shows that frame whatever the browser rounds.
  function frameAt(clip, own) {
    const f = clip.frames;
    let low = 0, high = f.length - 1;
    if (!f.length || own < f[0] - 0.0005) return -1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (f[mid] <= own + 0.0005) low = mid; else high = mid - 1;
    }
    return low;
  }
  function middle(clip, index) {
    const f = clip.frames, next = index + 1 < f.length ? f[index + 1] : f[index] + 0.04;
    return (f[index] + next) / 2;
  }
  const inside = (clip, own) => own >= -0.0005 && own <= clip.length + 0.0005;

  const play = document.createElement("button");
  const back = document.createElement("button");
  const forward = document.createElement("button");
  const slider = document.createElement("input");
  const clock = document.createElement("output");
  play.textContent = "play";
  back.textContent = "◀ frame";
  forward.textContent = "frame ▶";
  slider.type = "range";
  slider.min = data.from_s;
  slider.max = data.to_s;
  slider.step = 0.001;
  bar.append(play, back, forward, slider, clock);
  for (const event of data.events) {
    const button = document.createElement("button");
    button.textContent = `${event.label} ${stamp(event.time_s)}`;
    button.onclick = () => seek(event.time_s);
    jumps.append(button);
  }

  function select(number) {
    state.selected = number;
    clips.forEach((c, n) => c.figure.classList.toggle("on", n === number));
  }
  function show() {
    slider.value = state.time;
    clock.textContent = `incident ${stamp(state.time)}`;
    for (const clip of clips) {
      const own = local(clip, state.time);
      clip.figure.classList.toggle("off", !inside(clip, own));
      clip.own.textContent = inside(clip, own) ? `clip ${stamp(own + clip.start)}` : "";
    }
  }
  function place(clip) {
    const own = local(clip, state.time);
    if (!inside(clip, own)) { clip.video.pause(); return; }
    const index = frameAt(clip, own);
    clip.video.currentTime = index >= 0 ? middle(clip, index) : own;
  }
  function seek(time) {
    state.time = Math.min(data.to_s, Math.max(data.from_s, time));
    state.anchor = performance.now();
    clips.forEach(place);
    show();
  }
  function pause() {
    state.playing = false;
    play.textContent = "play";
    clips.forEach((c) => { c.video.pause(); c.video.playbackRate = 1; });
  }
  // One frame of the selected clip, exactly.
  function step(by) {
    pause();
    const clip = clips[state.selected];
    const index = frameAt(clip, local(clip, state.time));
    const next = Math.min(clip.frames.length - 1, Math.max(0, index + by));
    if (clip.frames.length) seek(global(clip, clip.frames[next] + 0.0002));
    else seek(state.time + by * 0.04);
  }
  function tick(now) {
    if (!box.isConnected) { urls.forEach((u) => URL.revokeObjectURL(u)); return; }
    if (state.playing) {
      state.time += (now - state.anchor) / 1000 * state.speed;
      state.anchor = now;
      if (state.time >= data.to_s) { state.time = data.to_s; pause(); }
      for (const clip of clips) {
        const own = local(clip, state.time), video = clip.video;
        if (!inside(clip, own)) { if (!video.paused) video.pause(); continue; }
        if (video.paused && state.playing) {
          video.currentTime = own;
          video.play().catch(() => { video.muted = true; video.play().catch(() => {}); });
          continue;
        }
        const behind = own - video.currentTime;
        if (Math.abs(behind) > 0.3 && !video.seeking) video.currentTime = own + 0.05;
        else video.playbackRate = Math.max(0.8, Math.min(1.25, state.speed + behind * 2));
      }
      show();
    }
    requestAnimationFrame(tick);
  }
  play.onclick = () => {
    if (state.playing) { pause(); clips.forEach(place); return; }
    if (state.time >= data.to_s) state.time = data.from_s;
    state.playing = true;
    state.anchor = performance.now();
    play.textContent = "pause";
  };
  back.onclick = () => step(-1);
  forward.onclick = () => step(1);
  slider.oninput = () => seek(Number(slider.value));
  box.tabIndex = 0;
  box.onkeydown = (e) => {
    if (e.key === " ") { e.preventDefault(); play.onclick(); }
    if (e.key === ",") step(-1);
    if (e.key === ".") step(1);
  };
  select(0);
  seek(data.from_s);
  requestAnimationFrame((now) => { state.anchor = now; tick(now); });
  return { state, clips, seek, step, play: () => play.onclick(), local, frameAt };
}

function render({ model, el }) {
  const data = model.get("data");
  const media = model.get("media");
  const clips = data.clips.map((clip, n) => ({ ...clip, media: media[n] }));
  mount(el, { ...data, clips });
}
export default { render };
