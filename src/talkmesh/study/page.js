// A participant's page: asks the server for a step, shows two videos in step with each other, sends the choice, and
// goes on only when the server says that it is on the disk.
"use strict";

const $ = (id) => document.getElementById(id);
const PANES = ["left", "face", "right"];
const RETRY_MS = 1000; // until an answer that could not be sent is sent again
const DRIFT_S = 0.06; // by which videos may be apart: more can be seen
const SETTLE_MS = 250; // after a new question in which keys do nothing: the last press is not meant for it

let study, code, step; // step: what the server said last
const watched = new Set(); // what was watched to the end, `sources` of each
let ready = 0; // when the question could first be answered
let busy = false;
let playing = 0; // number of the last start

async function ask(path, body) {
  for (;;) {
    let reply;
    try {
      reply = await fetch(path, body === undefined ? {} : {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
    } catch {
      trouble("The server does not answer. Your answers so far are safe; trying again …");
      await new Promise((done) => setTimeout(done, RETRY_MS));
      continue;
    }
    const value = await reply.json();
    if (reply.status >= 500) {
      trouble(`Not saved: ${value.error}. Trying again …`);
      await new Promise((done) => setTimeout(done, RETRY_MS));
      continue;
    }
    trouble("");
    if (!reply.ok) throw new Error(value.error);
    return value;
  }
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

function show(section) {
  for (const name of ["intro", "pair", "done"]) $(name).hidden = name !== section;
}

// ---- videos

const video = (pane) => $(pane).querySelector("video");
const shown = () => PANES.filter((pane) => !$(pane).hidden).map(video);
const sources = () => shown().map((v) => v.src).join(" ");

function load(pane, name) {
  const source = name ? `media/${name}.mp4` : "";
  $(pane).hidden = !name;
  if (name && video(pane).getAttribute("src") !== source) video(pane).src = source;
}

function until(element, event, reached) {
  return new Promise((done) => {
    const look = () => {
      if (!reached()) return;
      element.removeEventListener(event, look);
      done();
    };
    element.addEventListener(event, look);
    look();
  });
}

async function play() {
  const mine = ++playing;
  const all = shown();
  for (const v of all) {
    v.pause();
    if (v.currentTime > 0) v.currentTime = 0;
  }
  await Promise.all(all.map((v) => until(v, "canplay", () => v.readyState >= 3)));
  await Promise.all(all.map((v) => until(v, "seeked", () => !v.seeking)));
  if (mine !== playing) return;
  try {
    await Promise.all(all.map((v) => v.play()));
  } catch {
    if (mine === playing) $("hint").textContent = "Press Space to play.";
  }
}

function inStep() {
  const [first, ...others] = shown();
  for (const v of others) {
    if (!v.ended && !first.ended && Math.abs(v.currentTime - first.currentTime) > DRIFT_S) v.currentTime = first.currentTime;
  }
}

function ended() {
  if (!shown().every((v) => v.ended)) return;
  watched.add(sources());
  allow();
}

function allow() {
  const may = watched.has(sources()) && !busy;
  if (may && !ready) ready = performance.now();
  for (const button of document.querySelectorAll(".choice")) button.disabled = !may;
  $("back").disabled = busy || !step || step.step === 0;
  $("hint").textContent = may ? "" : "Watch to the end, then choose.";
}

// ---- steps

function enter(next) {
  step = next;
  busy = false;
  $("bar").value = step.done ? 1 : step.step / step.steps;
  $("count").textContent = step.done ? "finished" : `pair ${step.pair} of ${step.pairs}`;
  if (step.done) {
    ++playing;
    for (const v of shown()) v.pause();
    return show("done");
  }
  $("question").textContent = step.text;
  const before = sources();
  load("left", step.left);
  load("right", step.right);
  load("face", step.face);
  for (const button of document.querySelectorAll(".choice")) {
    button.classList.remove("taken");
    button.classList.toggle("before", button.dataset.side === step.chosen);
  }
  ready = 0;
  if (watched.has(sources())) ready = performance.now();
  show("pair");
  allow();
  if (before !== sources() || !watched.has(sources())) play();
}

async function choose(side) {
  if (busy || $("pair").hidden || !ready || performance.now() - ready < SETTLE_MS) return;
  busy = true;
  const seconds = (performance.now() - ready) / 1000;
  document.querySelector(`.choice[data-side=${side}]`).classList.add("taken");
  allow();
  $("hint").textContent = "";
  const { trial, question } = step;
  try {
    enter(await ask("api/answers", { code, step: step.step, trial, question, side, seconds }));
  } catch (error) { // another window went on with this code: follow it
    enter(await ask(`api/step?code=${code}`));
    trouble(error.message);
  }
}

async function back() {
  if (busy || $("pair").hidden || step.step === 0) return;
  busy = true;
  try {
    enter(await ask(`api/step?code=${code}&step=${step.step - 1}`));
  } catch (error) {
    enter(step);
    trouble(error.message);
  }
}

// ---- beginning and going on

const memory = () => `talkmesh-study-${study.id}`;

function know(found) {
  code = found;
  if (code) localStorage.setItem(memory(), code);
  else localStorage.removeItem(memory());
  history.replaceState(null, "", code ? `?code=${code}` : location.pathname);
  $("code").textContent = code ? `Your code: ${code}` : "";
}

async function welcome() {
  study = await ask("api/study");
  $("amount").textContent = `There are ${study.pairs} pairs and ${study.questions} questions.`;
  $("about-face").hidden = !study.face;
  let known;
  const asked = new URLSearchParams(location.search).get("code") || localStorage.getItem(memory());
  if (asked) {
    try {
      known = await ask(`api/step?code=${encodeURIComponent(asked)}`);
      know(asked);
    } catch {
      know("");
    }
  }
  if (known?.done) return enter(known);
  if (known) {
    $("bar").value = known.step / known.steps;
    $("count").textContent = `pair ${known.pair} of ${known.pairs}`;
  }
  $("begin").textContent = known?.step ? `Go on with pair ${known.pair}` : "Begin";
  $("anew").hidden = !known?.step;
  show("intro");
  $("begin").focus();
}

async function begin() {
  if (busy) return;
  busy = true;
  if (!code) know((await ask("api/participants", {})).code);
  enter(await ask(`api/step?code=${code}`));
}

function somebodyElse() {
  know("");
  location.reload();
}

$("begin").addEventListener("click", begin);
$("anew").addEventListener("click", somebodyElse);
$("another").addEventListener("click", somebodyElse);
$("again").addEventListener("click", play);
$("back").addEventListener("click", back);
for (const button of document.querySelectorAll(".choice")) {
  button.addEventListener("click", () => choose(button.dataset.side));
}
for (const pane of PANES) {
  video(pane).addEventListener("ended", ended);
  video(pane).addEventListener("click", play);
  video(pane).addEventListener("error", () => trouble("This browser cannot play the videos (H.264 in mp4): use another one."));
}
video("left").addEventListener("timeupdate", inStep);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || $("pair").hidden) return;
  const action = {
    ArrowLeft: () => choose("left"), a: () => choose("left"), A: () => choose("left"),
    ArrowRight: () => choose("right"), b: () => choose("right"), B: () => choose("right"),
    " ": play, Backspace: back,
  }[event.key];
  if (!action) return;
  event.preventDefault(); // space would press the button that has the focus
  if (!event.repeat) action();
});
welcome();
