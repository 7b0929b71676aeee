// Live: the camera's frames, the faces that are followed in them, and the page around.

import { announce, ask, element, fill, language, number, words } from "../colega.js";
import { Asking } from "./asking.js";
import { Attendance } from "./attendance.js";
import { Camera, explain, offer, packed, surface } from "../camera.js";
import { NAMED, UNKNOWN } from "./deciding.js";
import { Frames, REDUCED_PX, grey } from "./follow.js";
import { Tracks } from "./tracks.js";

const SENT_PX = 640; // Long side of what is asked about; the detector looks at no more.
const QUALITY = 0.8;
const PAUSE_MS = 60; // From one question to the next at least,
const IDLE_PAUSE_MS = 200; // and while nobody has been in view for
const IDLE_AFTER_MS = 3000;
const OF_LATE = 20; // Answers whose latency is shown.
const SPOKEN_MS = 2000; // Between two announcements.
const SHOWN_MS = 500; // Between two changes of the figures.
const SECOND = 1000;

const text = words("words-live");
const at = (id) => document.getElementById(id);
const [video, stage, boxes] = [at("video"), at("stage"), at("boxes")];
const [mirror, calibrated, slider] = [at("mirror"), at("calibrated"), at("threshold")];
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });

const camera = new Camera(video, { onlost: (problem) => stop("off", problem) });
const frames = new Frames();
const tracks = new Tracks(frames);
const attendance = new Attendance();
const asking = new Asking(question, { onanswer: answered, ontrouble: troubled });

const drawn = new Map(); // Boxes by the number of their track.
const latencies = [];
const answerTimes = [];
const frameTimes = [];
const greeted = new Map(); // Who was announced, and when last seen.
let reducing = null;
let threshold = null; // The last answer's.
let lastFace = 0;
let shownAt = 0;
let spokenAt = 0;
let listed = "";
let chosenMirror = null; // By the reader.
let stageWidth = stage.clientWidth;

// The camera ------------------------------------------------------------------------------------------------------------

async function start(id = null) {
  explain(at("camera-problem"), null);
  at("pause").disabled = true;
  say("starting", text.starting);
  try {
    if (!(await camera.start({ id }))) return;
  } catch (problem) {
    stop("off", problem);
    return;
  }
  begin();
  mirror.checked = chosenMirror ?? camera.facesUser;
  stage.toggleAttribute("data-mirrored", mirror.checked);
  say("live", "");
  at("pause").disabled = false;
  at("pause").textContent = text.pause;
  offer(at("cameras"), camera, start);
  nextFrame();
}

/** Let the camera go, because the reader paused ("paused") or because there is none ("off"). */
function stop(state, problem = null) {
  camera.stop();
  begin();
  draw();
  say(state, state === "paused" ? text.paused : text.off);
  explain(at("camera-problem"), problem);
  at("pause").disabled = false;
  at("pause").textContent = state === "paused" ? text.resume : text.retry;
  at("service-problem").hidden = true;
}

/** Nothing of what was before holds. */
function begin() {
  asking.forget();
  tracks.clear();
  frames.clear();
  reducing = null;
  for (const list of [latencies, answerTimes, frameTimes]) list.length = 0;
  for (const id of ["camera-rate", "answer-rate", "latency"]) at(id).textContent = "–";
}

function say(state, sentence) {
  stage.dataset.state = state;
  at("veil").textContent = sentence;
}

const nextFrame = () => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(onFrame) : requestAnimationFrame((now) => onFrame(now, {})));

// A frame ---------------------------------------------------------------------------------------------------------------

function onFrame(now, { captureTime }) {
  if (!camera.open) return;
  nextFrame();
  const time = Math.abs(now - captureTime) < SECOND ? captureTime : now; // Not all browsers know when it was captured.
  if (time === frameTimes.at(-1) || !camera.width) return;
  note(frameTimes, time);
  frames.add(reduced(time));
  tracks.frame(time);
  const pause = now - lastFace > IDLE_AFTER_MS ? IDLE_PAUSE_MS : PAUSE_MS;
  if (!document.hidden && asking.hasRoom(now, pause)) {
    const scale = Math.max(1, Math.max(camera.width, camera.height) / SENT_PX);
    const canvas = surface(Math.round(camera.width / scale), Math.round(camera.height / scale));
    canvas.getContext("2d", { alpha: false }).drawImage(video, 0, 0, canvas.width, canvas.height);
    asking.ask(packed(canvas, QUALITY), time, scale);
  }
  draw();
  figures(now);
}

function reduced(time) {
  const scale = REDUCED_PX / camera.width;
  const height = Math.round(camera.height * scale);
  if (reducing?.canvas.height !== height) {
    const canvas = element("canvas", { width: REDUCED_PX, height });
    reducing = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  }
  reducing.drawImage(video, 0, 0, REDUCED_PX, height);
  return { time, data: grey(reducing.getImageData(0, 0, REDUCED_PX, height).data), width: REDUCED_PX, height, scale };
}

// Questions and answers ---------------------------------------------------------------------------------------------------

function question(blob, signal) {
  const form = new FormData();
  form.append("photo", blob, "frame.jpg");
  return ask("POST", "search", { form, signal, query: { mode: "frame", k: 3, threshold: calibrated.checked ? null : slider.value } });
}

function answered(answer, time, scale) {
  const faces = answer.faces.map(({ box, matches }) => ({
    box: { x: box.x * scale, y: box.y * scale, w: box.w * scale, h: box.h * scale },
    matches: matches.map(({ person, similarity }) => ({ ...person, similarity })),
  }));
  trouble("");
  threshold = calibrated.checked ? answer.threshold : Number(slider.value);
  if (calibrated.checked) slider.value = threshold;
  change(at("decided"), text[`by_${answer.decided_by}`] ?? "");
  at("decided").hidden = false;
  at("threshold-shown").textContent = two(threshold);
  if (!tracks.answer(time, faces, threshold)) return;
  draw();
  const now = performance.now();
  if (faces.length) lastFace = now;
  note(answerTimes, now);
  attend(time);
  // When it is on the screen.
  requestAnimationFrame(() => {
    latencies.push(performance.now() - time);
    if (latencies.length > OF_LATE) latencies.shift();
    performance.measure("answer", { start: time, end: performance.now(), detail: { faces: faces.length } });
    performance.clearMeasures("answer"); // Who observes has got it.
  });
}

function troubled(problem, again) {
  if (!again) stop("off");
  trouble(fill(!again ? text.refused : problem.status ? text.busy : text.away, { detail: problem.message }));
}

function trouble(sentence) {
  const notice = at("service-problem");
  change(notice, sentence);
  notice.hidden = !sentence;
}

// What is seen ------------------------------------------------------------------------------------------------------------

const two = (value) => number(value, { maximumFractionDigits: 2, minimumFractionDigits: 2 });
const label = ({ state, person }) => (state === NAMED ? person.name : state === UNKNOWN ? text.unknown : text.unsure);

function draw() {
  const shown = tracks.shown();
  const scale = camera.width ? stageWidth / camera.width : 1;
  const left = new Set(drawn.keys());
  for (const one of shown) {
    left.delete(one.number);
    let box = drawn.get(one.number);
    if (!box) {
      box = element("div", { class: "box" }, element("span"));
      drawn.set(one.number, box);
      boxes.append(box);
    }
    const { x, y, w, h } = one.box;
    const across = mirror.checked ? camera.width - x - w : x;
    box.style.transform = `translate(${(across * scale).toFixed(1)}px, ${(y * scale).toFixed(1)}px)`;
    box.style.width = `${(w * scale).toFixed(1)}px`;
    box.style.height = `${(h * scale).toFixed(1)}px`;
    box.style.setProperty("--strength", one.strength.toFixed(2));
    box.classList.toggle("above", y + h > camera.height - 30 / scale);
    box.classList.toggle("aside", across + w / 2 > camera.width / 2);
    const name = label(one);
    if (box.dataset.state !== one.state) box.dataset.state = one.state;
    change(box.firstChild, name);
  }
  for (const gone of left) {
    drawn.get(gone).remove();
    drawn.delete(gone);
  }
  list(shown);
}

/** Who is in view, in words; changed only where something has. */
function list(shown) {
  const lines = shown.map((one) => [label(one), one.state === NAMED ? two(one.person.similarity) : "", one.state]);
  const key = JSON.stringify(lines.map(([name, , state]) => [name, state]));
  const view = at("view");
  if (key !== listed) {
    listed = key;
    view.replaceChildren(...lines.map(([name, , state]) => element("li", { "data-state": state },
      element("span", { class: state === NAMED ? "badge good" : state === UNKNOWN ? "badge warn" : "badge" }, name), element("span", { class: "similarity" }))));
    at("view-empty").hidden = lines.length > 0;
  }
  lines.forEach(([, similarity], i) => change(view.children[i].lastChild, similarity));
}

/** Whoever this answer saw goes into the list, and is announced when they have come. */
function attend(time) {
  const now = Date.now();
  for (const one of tracks.shown()) {
    if (one.found !== time) continue;
    if (one.state === NAMED) {
      attendance.saw(one.person, now);
      attendance.knows(one.number);
      greet(one.person.id, one.person.name, now);
    } else if (one.state === UNKNOWN) {
      attendance.sawStranger(one.number);
      greet(`track ${one.number}`, text.stranger, now);
    }
  }
  if (now - spokenAt > SPOKEN_MS) {
    const names = [...greeted.values()].filter((one) => one.fresh).map((one) => one.name);
    if (names.length) {
      spokenAt = now;
      at("spoken").textContent = fill(text.here, { names: new Intl.ListFormat(language).format(names) });
      for (const one of greeted.values()) one.fresh = false;
    }
  }
}

function greet(id, name, now) {
  const known = greeted.get(id);
  const fresh = !known || known.fresh || now - known.last > 30 * SECOND;
  greeted.set(id, { name, last: now, fresh });
}

function attended() {
  const body = at("attended");
  if (body.children.length > attendance.people.length) body.replaceChildren();
  attendance.people.forEach((one, i) => {
    if (!body.children[i]) body.append(element("tr", {}, element("th", { scope: "row" }), element("td", {}, element("time")), element("td", {}, element("time"))));
    const [name, first, last] = body.children[i].children;
    change(name, one.name);
    when(first.firstChild, one.first);
    when(last.firstChild, one.last);
  });
  at("attendance").hidden = !attendance.people.length;
  at("attendance-empty").hidden = attendance.people.length > 0;
  at("strangers").hidden = !attendance.strangers;
  at("strangers").textContent = attendance.strangers === 1 ? text.strangers_one : fill(text.strangers_many, { count: number(attendance.strangers) });
  at("clear").disabled = at("export").disabled = attendance.empty;
}

/** Give an element another text; one that has it already is left alone, so that nothing flickers and a selection stays. */
function change(one, sentence) {
  if (one.textContent !== sentence) one.textContent = sentence;
}

function when(one, time) {
  one.dateTime = new Date(time).toISOString();
  change(one, clock.format(time));
}

function figures(now) {
  if (now - shownAt < SHOWN_MS) return;
  shownAt = now;
  at("camera-rate").textContent = rate(frameTimes, now);
  at("answer-rate").textContent = rate(answerTimes, now);
  at("latency").textContent = latencies.length ? number(Math.round(median(latencies))) : "–";
  if (!attendance.empty) attended();
}

/** Remember when something happened, for two seconds. */
function note(times, now) {
  times.push(now);
  while (now - times[0] > 2 * SECOND) times.shift();
}

function rate(times, now) {
  const recent = times.filter((time) => now - time < 2 * SECOND);
  if (recent.length < 2) return "–";
  const found = ((recent.length - 1) * SECOND) / Math.max(recent.at(-1) - recent[0], 1);
  return number(found, { maximumFractionDigits: found < 9.5 ? 1 : 0 });
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

// What the reader does ------------------------------------------------------------------------------------------------------

at("pause").addEventListener("click", () => (camera.open ? stop("paused") : start()));
addEventListener("keydown", (event) => {
  if (event.altKey && event.code === "KeyP" && !at("pause").disabled) {
    event.preventDefault();
    at("pause").click();
  }
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return;
  asking.forget();
  tracks.clear();
});
video.addEventListener("resize", () => { video.style.aspectRatio = `${camera.width || 4} / ${camera.height || 3}`; });
new ResizeObserver(() => { stageWidth = stage.clientWidth; }).observe(stage);
mirror.addEventListener("change", () => {
  chosenMirror = mirror.checked;
  stage.toggleAttribute("data-mirrored", mirror.checked);
});
calibrated.addEventListener("change", () => { slider.disabled = calibrated.checked; });
slider.addEventListener("input", () => { at("threshold-shown").textContent = two(slider.valueAsNumber); });
at("clear").addEventListener("click", () => {
  attendance.clear();
  attended();
  announce(text.cleared);
  at("pause").focus();
});
at("export").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([attendance.csv(text)], { type: "text/csv;charset=utf-8" }));
  element("a", { href: url, download: `${text.file}-${new Date().toISOString().slice(0, 10)}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), SECOND);
});

start();
