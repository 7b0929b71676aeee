// Enrol at the camera: guide, take the best of several frames, name, and show that the person is recognised from then on.

import { Camera, CameraProblem, explain, offer, surface } from "../camera.js";
import { ask, element, fill, later, number, words } from "../colega.js";
import { enrol, forget, Rejected } from "../enrolling.js";
import { Gathering, judge, largest, luma } from "./guide.js";
import { cutOut, drawFace, fromBase64, isShownAlike, show } from "../photo.js";
import { Picker } from "../picker.js";
import { explained, rejection } from "../reasons.js";

const said = words("words-enrol");
const $ = (id) => document.getElementById(id);
const page = $("enrol");
const may = { read: page.dataset.mayRead === "yes", search: page.dataset.maySearch === "yes", manage: page.dataset.mayManage === "yes" };

const LOOK_PX = 640;
const KEPT_PX = 1280;
const LIGHT_PX = 80;
const PREVIEW_PX = 2048;
/** Not more often than this is a frame looked at, and the advice changed. */
const EVERY_MS = 110, ADVICE_MS = 500;
const PROOF_MS = 10_000;

const camera = new Camera($("video"), { onlost: (problem) => { halt(); explain($("problem"), problem); } });
const picker = new Picker(page.querySelector(".picker"), { onchange: nameChanged });
const gathering = new Gathering();

/** Counts up with every change of what the camera is watched for; a loop ends when it is not its number any more. */
let watch = 0;
/** What is to be enrolled: {source, width, height, faces, face}. */
let taken = null;
/** Somebody whom a first try has made, and whose photo was refused. */
let made = null;

function step(name) {
  page.dataset.step = name;
  const panel = name === "watch" ? "start" : name;
  for (const part of $("panel").children) part.hidden = part.dataset.for !== panel;
  $("checks").hidden = name !== "watch";
  $("now").hidden = name !== "watch";
  $("now").disabled = name !== "watch";
}

// --- the camera -----------------------------------------------------------------------------------------------------

async function open(id) {
  explain($("problem"), null);
  say("starting", true);
  try {
    if (!(await camera.start({ id, facing: "user", width: KEPT_PX, height: 720 }))) return;
  } catch (problem) {
    halt();
    explain($("problem"), problem);
    $("start").focus();
    return;
  }
  $("off").hidden = true;
  $("stop").hidden = false;
  $("video").classList.toggle("mirrored", camera.facesUser);
  Object.assign($("screen").style, { aspectRatio: `${camera.width} / ${camera.height}`, maxWidth: `calc(70vh * ${camera.width / camera.height})` });
  await offer($("choice"), camera, open);
  guide();
}

/** Let the camera go, and say nothing. */
function halt() {
  watch++;
  camera.stop();
  $("off").hidden = false;
  $("stop").hidden = true;
  tell("", new Set());
  if (page.dataset.step === "watch") step("start");
}

/** The frame of now: as looked at, as kept, and how light it is. */
async function frame() {
  const at = performance.now();
  const scale = Math.min(1, KEPT_PX / camera.width);
  const source = surface(Math.round(camera.width * scale), Math.round(camera.height * scale));
  source.getContext("2d", { alpha: false }).drawImage(camera.video, 0, 0, source.width, source.height);
  const { blob } = await camera.grab({ width: LOOK_PX, quality: 0.85 });
  const small = surface(LIGHT_PX, Math.max(1, Math.round((LIGHT_PX * source.height) / source.width)));
  const paint = small.getContext("2d", { alpha: false, willReadFrequently: true });
  paint.drawImage(source, 0, 0, small.width, small.height);
  const { data } = paint.getImageData(0, 0, small.width, small.height);
  const light = (box, width) => {
    const by = small.width / (width ?? 1);
    return luma(data, small.width, small.height, box && { x: box.x * by, y: box.y * by, w: box.w * by, h: box.h * by });
  };
  return { at, source, blob, light };
}

const asForm = (blob) => {
  const form = new FormData();
  form.append("photo", blob, "frame.jpg");
  return form;
};

/** Watch the camera and say what to change, until there are enough good frames. */
async function guide() {
  const mine = ++watch;
  taken = null;
  gathering.clear();
  step("watch");
  if (document.activeElement === document.body) $("now").focus({ preventScroll: true });
  if (!may.search) return say("manual", true);
  say("nobody", true);
  let before = null;
  while (mine === watch) {
    const began = performance.now();
    try {
      if (!document.hidden && camera.width) {
        const now = await frame();
        const seen = await ask("POST", "detect", { query: { mode: "frame" }, form: asForm(now.blob) });
        if (mine !== watch) return;
        const { advice, face, fine } = judge(seen, (box) => now.light(box, seen.width), before, now.at);
        before = face && { face, at: now.at };
        const share = gathering.add({ ...now, ...seen, face }, advice === "good");
        tell(advice, fine, share);
        if (share >= 1) return take(gathering.best, Gathering.FRAMES);
      }
    } catch (error) {
      if (mine !== watch) return;
      if (error instanceof CameraProblem) { await later(EVERY_MS); continue; }
      say(error.status >= 500 || error.status === 0 ? "waiting" : null, true, explained(error));
      await later(1500);
    }
    await later(Math.max(0, EVERY_MS - (performance.now() - began)));
  }
}

let saidAt = 0, saidLast = "", wanted = "";

/** Say it once two frames agree, and not more often than one can follow. */
function say(advice, atOnce = false, sentence = said[advice] ?? "") {
  const again = advice === wanted;
  wanted = advice;
  if (!atOnce && (!again || performance.now() - saidAt < ADVICE_MS)) return;
  if (sentence === saidLast) return;
  saidAt = performance.now();
  saidLast = sentence;
  $("coach").textContent = sentence;
}

function tell(advice, fine, share = 0) {
  say(advice, advice === "");
  $("screen").dataset.advice = advice;
  $("ring").setAttribute("stroke-dasharray", `${100 * share} 100`);
  $("ring").style.opacity = share ? 1 : 0;
  for (const item of $("checks").children) {
    const good = fine.has(item.dataset.check);
    item.classList.toggle("good", good);
    item.firstElementChild.textContent = good ? "✓" : "○";
    item.lastElementChild.textContent = good ? ` ${said.fine}` : "";
  }
}

// --- the picture ----------------------------------------------------------------------------------------------------

/** Go on to the name with what was taken. */
function take(what, count) {
  watch++;
  taken = what;
  gathering.clear();
  tell("", new Set());
  say(null, true, count > 1 ? fill(said.taken, { count: number(count) }) : said.taken_one);
  explain($("problem"), null);
  refuse(null);
  step("name");
  const face = $("face");
  face.getContext("2d").clearRect(0, 0, face.width, face.height);
  drawFace(face, what.source, what.face?.box ?? { x: 0, y: 0, w: what.width, h: what.height }, what.width, what.height);
  $("alike").hidden = true;
  if (!made) { picker.reset(); $("external-id").value = ""; $("more").open = false; }
  picker.input.focus();
  if (may.search) propose(what);
}

/** The picture of now, whatever it is like. */
async function takeNow() {
  const best = gathering.best;
  watch++;
  $("now").disabled = true;
  try {
    if (best) return take(best, 1);
    const now = await frame();
    if (!may.search) return take({ ...now, width: now.source.width, height: now.source.height, faces: [], face: null }, 1);
    const seen = await ask("POST", "detect", { form: asForm(now.blob) });
    const face = largest(seen.faces);
    if (!face) throw new Error(said.no_face_now);
    take({ ...now, ...seen, face }, 1);
  } catch (error) {
    complain(error.type === undefined ? error.message : explained(error));
    guide();
  }
}

/** A file instead of the camera. */
async function takeFile(file) {
  watch++;
  complain(null);
  try {
    const alike = await isShownAlike(file);
    const image = new Image();
    let seen = null;
    if (may.search) {
      const form = new FormData();
      form.append("photo", file, file.name);
      seen = await ask("POST", "detect", { query: { preview: PREVIEW_PX }, form });
      if (!seen.faces.length) throw new Error(said.no_face);
    }
    let drawn = alike && (await show(image, file));
    if (seen && !(drawn && image.naturalWidth === seen.width && image.naturalHeight === seen.height)) drawn = await show(image, fromBase64(seen.preview));
    const size = seen ?? { width: image.naturalWidth, height: image.naturalHeight, faces: [] };
    take({ ...size, source: image, blob: file, face: seen && largest(seen.faces), whole: !drawn || !seen || seen.faces.length === 1 ? file : null }, 1);
  } catch (error) {
    complain(error.type === undefined ? error.message : explained(error));
    if (camera.open) guide();
  }
}

function complain(sentence) {
  explain($("problem"), sentence === null ? null : { message: sentence });
}

/** Offer the person whom the picture looks like already. */
async function propose(what) {
  let found;
  try {
    found = await ask("POST", "search", { query: { k: 1 }, form: asForm(what.blob) });
  } catch {
    return;
  }
  const match = largest(found.faces)?.matches[0];
  if (taken !== what || !match?.accepted || page.dataset.step !== "name") return;
  const { person } = match;
  $("alike").replaceChildren(
    element("span", {}, fill(said.alike, { name: person.name })),
    element("button", { type: "button", class: "button small", onclick: () => { picker.reset(person); $("alike").hidden = true; $("do").focus(); } }, fill(said.use_known, { name: person.name })),
  );
  $("alike").hidden = false;
}

// --- the name -------------------------------------------------------------------------------------------------------

const isMade = () => made !== null && made.name === picker.name;

function nameChanged() {
  if (!picker) return;
  $("do").textContent = picker.person ? said.add_short : said.enrol;
  $("do").disabled = !(picker.complete || isMade() || (picker.name && $("external-id").value.trim()));
  $("more").hidden = Boolean(picker.person);
}

function refuse(sentence) {
  $("refused").hidden = sentence === null;
  $("refused").textContent = sentence ?? "";
}

async function enrolTaken() {
  if ($("do").disabled) return;
  const what = taken;
  const button = $("do").textContent;
  const began = performance.now();
  refuse(null);
  working(true);
  try {
    const photo = what.whole ?? (await cutOut(what.source, what.faces, what.face, what.width, what.height));
    const person = picker.person ?? (isMade() ? made : null);
    const filename = what.whole?.name ?? "camera.jpg";
    const result = await enrol({ person, name: picker.name, externalId: $("external-id").value.trim() }, photo, { filename, mayRead: may.read });
    working(false);
    done(result, what, { button, began, added: Boolean(picker.person) });
  } catch (error) {
    working(false);
    if (error instanceof Rejected) {
      made = error.person ?? made;
      refuse(fill(said.rejected, rejection(error.reason)));
      nameChanged();
    } else refuse(explained(error));
    picker.input.focus();
  }
}

function working(on) {
  page.setAttribute("aria-busy", String(on));
  for (const id of ["again", "external-id", "photo"]) $(id).disabled = on;
  picker.input.disabled = on;
  if (on) { $("do").disabled = true; $("do").textContent = said.enrolling; } else nameChanged();
}

// --- the proof ------------------------------------------------------------------------------------------------------

/** Say that it is done, and show it: the camera's picture of now, searched as of the log entry that enrolled the person. */
async function done({ person, sequence, state }, what, { button, began, added }) {
  step("done");
  if (person.id !== made?.id) forget(made, may.manage);
  made = null;
  const names = { name: person.name, button };
  const proof = $("proof");
  proof.classList.remove("good");
  $("done-title").textContent = fill(added ? said.added : said.done, names);
  $("person").hidden = !may.read;
  $("person").href = `/people/${person.id}${location.search}`;
  $("done-title").focus();
  say(null, true, "");
  if (!may.search) { proof.textContent = fill(said.unproved, names); return; }
  proof.textContent = said.proving;
  const mine = ++watch;
  const live = camera.open;
  let told = fill(said.not_yet, names);
  while (mine === watch && performance.now() - began < PROOF_MS) {
    try {
      const blob = live && camera.width ? (await camera.grab({ width: LOOK_PX })).blob : what.blob;
      const found = await ask("POST", "search", { query: { k: 1, after: sequence }, form: asForm(blob) });
      if (mine !== watch) return;
      const first = largest(found.faces)?.matches[0];
      if (first?.accepted && first.person.id === person.id) {
        const seconds = (performance.now() - began) / 1000;
        page.dataset.provedMs = Math.round(1000 * seconds);
        proof.textContent = fill(live ? said.recognised : said.recognised_photo, { ...names, seconds: number(seconds, { minimumFractionDigits: 1, maximumFractionDigits: 1 }) });
        proof.classList.add("good");
        return;
      }
      if (first?.accepted && state === "done") told = fill(said.other, { ...names, other: first.person.name });
    } catch (error) {
      told = explained(error) || told;
    }
    if (!live && state !== "sent") break;  // The same photo gives the same answer.
    await later(200);
  }
  if (mine === watch) proof.textContent = told;
}

// --- buttons --------------------------------------------------------------------------------------------------------

$("start").addEventListener("click", () => open());
$("stop").addEventListener("click", () => { halt(); forget(made, may.manage); made = null; if (page.dataset.step !== "name") step("start"); $("start").focus(); });
$("now").addEventListener("click", takeNow);
$("photo").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", ({ target }) => { const [file] = target.files; target.value = ""; if (file) takeFile(file); });
$("form").addEventListener("submit", (event) => { event.preventDefault(); enrolTaken(); });
$("external-id").addEventListener("input", nameChanged);
const anew = () => { if (camera.open) { guide(); $("now").focus(); } else { step("start"); open(); } };
$("again").addEventListener("click", anew);
$("next").addEventListener("click", anew);
