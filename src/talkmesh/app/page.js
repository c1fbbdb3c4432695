// The page: a sound is sent, its job is followed, and what comes of it is shown on the clock of the sound.
"use strict";

const $ = (id) => document.getElementById(id);
const POLL_MS = 300;
const SVG = "http://www.w3.org/2000/svg";
const TALL = 100; // of the curve's own space
const SAID = {
  mp4: "video with sound", glb: "mesh with shapes", usdc: "USD blend shapes", csv: "Live Link Face, ARKit", npz: "NumPy, mm",
};

let about, scene, sound; // sound: the File that will be sent
let shown = null; // what the server said of the motion on show, with its id
let current = 0; // number of the last start: replies to older ones are thrown away
let upload = null; // AbortController while a sound is sent

// ---- the server

async function ask(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer: is talkmesh app still running?");
  }
  const isJson = reply.headers.get("Content-Type") === "application/json";
  if (!reply.ok) throw new Error(isJson ? capital((await reply.json()).error) : await reply.text());
  return isJson ? reply.json() : reply.arrayBuffer();
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
// A sentence begins with a capital, unless it begins with the name of a file.
const capital = (text) => (sound && text.startsWith(sound.name) ? text : text.charAt(0).toUpperCase() + text.slice(1));
const seconds = (value) => `${value.toFixed(1)} s`;

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

function waiting(task) {
  if (task.state === "working") return "Animating …";
  return task.before === 0 ? "Next in the queue …" : `In the queue: ${task.before} before you …`;
}

// Follow a task of a job until it is done; `told` is called with it meanwhile.
async function followed(id, kind, told) {
  for (;;) {
    const task = (await ask(`api/jobs/${id}`)).tasks[kind];
    if (task.state === "failed") throw new Error(capital(task.error));
    if (task.state === "done") return task;
    told(task);
    await pause(POLL_MS);
  }
}

// ---- a sound

function choose(file) {
  sound = file;
  $("chosen").textContent = file ? file.name : "no sound yet";
  $("go").disabled = !file;
  trouble("");
  if (file && file.size > about.limits.bytes) {
    trouble(`The file is larger than ${about.limits.bytes / 1e6} MB: cut it or compress it.`);
    $("go").disabled = true;
  }
}

let recorder = null;

async function record() {
  if (recorder) return recorder.stop();
  trouble("");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    return trouble("The browser gives no microphone: allow it for this page, or choose a file.");
  }
  const parts = [], start = performance.now();
  recorder = new MediaRecorder(stream);
  recorder.ondataavailable = (event) => parts.push(event.data);
  const clock = setInterval(() => {
    const taken = (performance.now() - start) / 1000;
    $("chosen").textContent = seconds(taken);
    if (taken > about.limits.seconds - 0.5) recorder?.stop();
  }, 100);
  recorder.onstop = () => {
    clearInterval(clock);
    for (const track of stream.getTracks()) track.stop();
    const kind = recorder.mimeType || "audio/webm";
    recorder = null;
    $("record").textContent = "Record";
    $("record").setAttribute("aria-pressed", "false");
    const ending = kind.includes("mp4") ? "mp4" : kind.includes("ogg") ? "ogg" : "webm";
    choose(new File(parts, `recording.${ending}`, { type: kind }));
    $("go").focus();
  };
  recorder.start();
  $("record").textContent = "Stop";
  $("record").setAttribute("aria-pressed", "true");
}

// ---- a job

function busy(on) {
  $("go").disabled = on || !sound;
  $("cancel").hidden = !on;
}

async function animate() {
  const mine = ++current;
  const words = new URLSearchParams({
    name: sound.name, model: $("model").value, character: $("character").value, fast: $("fast").checked ? "1" : "0",
    amplitude: $("amplitude").value, smoothing: $("smoothing").value, fps: $("fps").value,
    blinks: $("blinks").checked ? "1" : "0",
  });
  trouble("");
  busy(true);
  $("status").textContent = "Sending …";
  upload = new AbortController();
  const type = sound.type || "application/octet-stream";
  try {
    const job = await ask(`api/jobs?${words}`, {
      method: "POST", body: sound, headers: { "Content-Type": type }, signal: upload.signal,
    });
    upload = null;
    if (mine !== current) return void fetch(`api/jobs/${job.id}`, { method: "DELETE" });
    history.replaceState(null, "", `#${job.id}`);
    await follow(job.id, mine);
  } catch (error) {
    if (mine === current) ended(error.name === "AbortError" ? "" : error.message);
  }
}

async function follow(id, mine) {
  busy(true);
  const told = (task) => { if (mine === current) $("status").textContent = waiting(task); };
  const motion = await followed(id, "motion", told);
  if (mine !== current) return;
  $("status").textContent = "Fetching …";
  await show({ ...motion, id }, mine);
  if (mine === current) ended("");
}

function ended(problem) {
  upload = null;
  $("status").textContent = "";
  trouble(problem);
  busy(false);
}

function cancel() {
  ++current;
  upload?.abort();
  const id = location.hash.slice(1);
  if (!upload && id && id !== shown?.id) fetch(`api/jobs/${id}`, { method: "DELETE" }).catch(() => {});
  history.replaceState(null, "", shown ? `#${shown.id}` : location.pathname);
  ended("");
}

// ---- the result

async function show(motion, mine) {
  const from = `api/jobs/${motion.id}/`;
  const mesh = await ask(`${from}mesh.bin`);
  const reply = await fetch(`${from}motion.bin`);
  if (!reply.ok) throw new Error(await reply.text());
  if (mine !== current) return;
  const { faces, vertices } = motion;
  const values = new Int16Array(motion.frames * vertices * 3);
  shown = motion;
  shown.moves = { values, frames: 0, step: motion.step, fps: motion.fps };
  const parts = {
    faces: new Uint32Array(mesh, 0, 3 * faces),
    twins: new Uint32Array(mesh, 12 * faces, vertices),
    colours: new Uint8Array(mesh, 12 * faces + 4 * vertices, 4 * vertices),
  };
  const reader = reply.body.getReader();
  const bytes = new Uint8Array(values.buffer);
  const began = () => {
    scene?.show(parts, shown.moves);
    present(from);
  };
  for (let filled = 0, open = false; ;) {
    const { done, value } = await reader.read();
    if (mine !== current) return void reader.cancel();
    if (value) bytes.set(value, filled);
    filled += value?.length ?? 0;
    shown.moves.frames = Math.floor(filled / (6 * vertices));
    if (!open && shown.moves.frames > 0) {
      open = true;
      began();
    }
    if (done) break;
  }
}

function present(from) {
  const motion = shown;
  $("empty").hidden = true;
  $("player").hidden = false;
  $("time").max = motion.seconds;
  drawCurve();
  $("pictures").hidden = !motion.pictures;
  if (motion.pictures) {
    motion.sheets = Array.from({ length: Math.ceil(motion.pictures.frames / motion.pictures.sheet) }, (_, k) => {
      const image = new Image();
      image.onload = () => { motion.painted = -1; };
      image.src = `${from}sheet-${k}.jpg`;
      return image;
    });
    for (const id of ["speaker", "translated"]) $(id).width = $(id).height = motion.pictures.size;
  }
  $("made").textContent = `${motion.sound}, said by ${motion.character} with ${motion.model}: ${seconds(motion.seconds)} of `
    + `sound, ${motion.frames} frames, ${motion.fps} a second; animated in ${seconds(motion.took_s)}.`;
  offerDownloads(from);
  const audio = $("audio");
  audio.src = `${from}sound.wav`;
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) audio.play().catch(() => {});
}

function offerDownloads(from) {
  $("downloads").replaceChildren(...about.files.map((kind) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const remark = document.createElement("small");
    button.type = "button";
    button.dataset.kind = kind;
    remark.textContent = SAID[kind];
    button.append(`.${kind}`, remark);
    button.addEventListener("click", () => download(kind, button, remark, from));
    item.append(button);
    return item;
  }));
}

async function download(kind, button, remark, from) {
  const { id } = shown;
  button.disabled = true;
  trouble("");
  try {
    await ask(`${from}files/${kind}`, { method: "POST" });
    const made = await followed(id, kind, (task) => {
      remark.textContent = task.state === "working" ? "writing …" : `in the queue: ${task.before} before it`;
    });
    const error = made.error_mm ? `, lips within ${made.error_mm.lips_max_mm.toFixed(2)} mm` : "";
    remark.textContent = `${(made.bytes / 1e6).toFixed(2)} MB${error}`;
    const link = document.createElement("a");
    link.href = `${from}files/${kind}`;
    link.download = made.file;
    link.click();
  } catch (error) {
    remark.textContent = SAID[kind];
    trouble(error.message);
  }
  button.disabled = false;
}

// ---- on the clock of the sound

function drawCurve() {
  const svg = $("curve"), { opening, loudness } = shown;
  const last = Math.max(opening.length - 1, 1), top = Math.max(...opening, 1) * 1.08, low = Math.min(...opening, 0);
  const y = (gap) => (TALL * (1 - (gap - low) / (top - low))).toFixed(2);
  svg.setAttribute("viewBox", `0 0 ${last} ${TALL}`);
  const line = (d, name) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    path.setAttribute("class", name);
    return path;
  };
  const loud = loudness.map((value, k) => `${k} ${(TALL * (1 - 0.9 * Math.sqrt(value))).toFixed(2)}`);
  svg.replaceChildren(
    line(`M0 ${TALL}L${loud.join("L")}L${last} ${TALL}Z`, "sound"),
    line(`M${opening.map((gap, k) => `${k} ${y(gap)}`).join("L")}`, "opening"),
    line("", "now"),
  );
  svg.setAttribute("aria-label", `Lip opening over ${seconds(shown.seconds)}: 0 to ${Math.max(...opening).toFixed(1)} mm`);
}

function paint(time) {
  const { pictures, sheets } = shown;
  const k = Math.min(Math.floor(time * pictures.fps + 1e-6), pictures.frames - 1);
  const sheet = sheets[Math.floor(k / pictures.sheet)];
  if (k === shown.painted || !sheet.complete || !sheet.naturalWidth) return;
  shown.painted = k;
  const { size, columns } = pictures, i = k % pictures.sheet;
  const x = 2 * size * (i % columns), y = size * Math.floor(i / columns);
  $("speaker").getContext("2d").drawImage(sheet, x, y, size, size, 0, 0, size, size);
  $("translated").getContext("2d").drawImage(sheet, x + size, y, size, size, 0, 0, size, size);
}

function tick() {
  requestAnimationFrame(tick);
  if (!shown?.moves.frames || $("player").hidden) return;
  const audio = $("audio"), time = audio.currentTime;
  scene?.draw(time);
  if (time === shown.ticked && !audio.seeking && shown.painted >= 0) return;
  shown.ticked = time;
  $("time").value = time;
  $("time").setAttribute("aria-valuetext", seconds(time));
  $("clock").textContent = `${time.toFixed(1)} / ${seconds(shown.seconds)}`;
  const frame = Math.min(Math.round(time * shown.fps), shown.opening.length - 1);
  $("gap").textContent = `${shown.opening[frame].toFixed(1)} mm`;
  $("curve").querySelector(".now").setAttribute("d", `M${Math.min(time * shown.fps, shown.opening.length - 1)} 0V${TALL}`);
  if (shown.pictures) paint(time);
  else shown.painted = 0;
}

function playing() {
  const on = !$("audio").paused;
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
}

function toggle() {
  const audio = $("audio");
  if (audio.paused) audio.play().catch(() => trouble("This browser does not play the sound."));
  else audio.pause();
}

// ---- hands and keys

function holdable(element, moved) {
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    moved(event, true);
  });
  element.addEventListener("pointermove", (event) => { if (element.hasPointerCapture(event.pointerId)) moved(event, false); });
}

function wire() {
  $("file").addEventListener("change", () => { if ($("file").files[0]) choose($("file").files[0]); });
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
      if (name === "drop" && event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]);
    });
  }
  $("record").addEventListener("click", record);
  if (!navigator.mediaDevices || !window.MediaRecorder) {
    $("record").disabled = true;
    $("no-microphone").hidden = false;
    $("no-microphone").textContent = "Browsers record on this machine (127.0.0.1) or over https only.";
  }
  $("form").addEventListener("submit", (event) => { event.preventDefault(); if (sound) animate(); });
  $("cancel").addEventListener("click", cancel);
  $("model").addEventListener("change", chosenModel);
  for (const name of ["amplitude", "smoothing"]) {
    $(name).addEventListener("input", () => { $(`${name}-said`).textContent = $(name).value; });
  }
  $("play").addEventListener("click", toggle);
  for (const name of ["play", "pause", "ended"]) $("audio").addEventListener(name, playing);
  $("time").addEventListener("input", () => { $("audio").currentTime = Number($("time").value); });
  holdable($("curve"), (event) => {
    const box = $("curve").getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - box.x) / box.width, 0), 1);
    $("audio").currentTime = Math.min(part * (shown.frames - 1) / shown.fps, shown.seconds);
  });
  const canvas = $("canvas");
  holdable(canvas, (event, first) => { if (!first) scene?.turn(event.movementX / 150, event.movementY / 150); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    scene?.zoom(Math.exp(-event.deltaY / 500));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => scene?.home());
  canvas.addEventListener("keydown", (event) => {
    const action = {
      ArrowLeft: () => scene?.turn(-0.1, 0), ArrowRight: () => scene?.turn(0.1, 0), ArrowUp: () => scene?.turn(0, -0.1),
      ArrowDown: () => scene?.turn(0, 0.1), "+": () => scene?.zoom(1.15), "-": () => scene?.zoom(1 / 1.15),
      Home: () => scene?.home(),
    }[event.key];
    if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("button, input, select, summary, a");
    if (event.key !== " " || typing || $("player").hidden) return;
    event.preventDefault();
    toggle();
  });
}

function chosenModel() {
  const model = about.models.find((one) => one.name === $("model").value);
  $("about-model").textContent = `learned from ${model.corpus || "an unnamed corpus"}, ${model.fps} frames a second`;
  $("about-model").title = model.licence;
  $("fast-row").hidden = !model.fast;
  const others = about.characters.filter((name) => name !== model.rig);
  $("character").replaceChildren(new Option(`${model.rig}, the model’s own`, ""), ...others.map((name) => new Option(name)));
}

async function begin() {
  try {
    about = await ask("api/about");
  } catch (error) {
    return trouble(error.message);
  }
  $("limits").textContent = `up to ${about.limits.seconds} s and ${about.limits.bytes / 1e6} MB; any audio or video`;
  $("model").replaceChildren(...about.models.map((model) => new Option(model.name)));
  chosenModel();
  wire();
  try {
    scene = new Scene($("canvas"), about.light);
  } catch (error) {
    $("empty").textContent = error.message;
  }
  requestAnimationFrame(tick);
  const id = location.hash.slice(1);
  if (/^[0-9a-f]{32}$/.test(id)) {
    try {
      await follow(id, ++current);
    } catch (error) {
      history.replaceState(null, "", location.pathname);
      ended(error.message);
    }
  }
}

begin();
