// A camera: opened, chosen among several, grabbed from, let go. Why one cannot be opened is a sentence that says what to do.
// The page includes _camera.html, which has the words.

import { element, fill, words } from "./colega.js";

const REMEMBERED = "colega.camera";

/** Why there is no picture: "insecure", "refused", "absent", "busy", "lost" or "failed". Its message is for the reader. */
export class CameraProblem extends Error {
  constructor(kind, cause) {
    super(fill(words("words-camera")[kind] ?? words("words-camera").failed, { origin: location.origin }));
    this.kind = kind;
    this.cause = cause;
  }
}

const KINDS = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "absent",
  OverconstrainedError: "absent",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** Whether this page may ask for a camera at all: browsers give one to HTTPS and to this machine itself only. */
export const allowed = () => window.isSecureContext && Boolean(navigator.mediaDevices?.getUserMedia);

/** The cameras that there are: [{id, label}]. Their names are told once one of them was opened. */
export async function cameras() {
  if (!allowed()) return [];
  const devices = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput" && one.deviceId);
  return devices.map((one, place) => ({
    id: one.deviceId,
    label: one.label || fill(words("words-camera").numbered, { number: place + 1 }),
  }));
}

/** Which camera was used last in this browser. */
const remembered = () => {
  try { return localStorage.getItem(REMEMBERED); } catch { return null; }
};
const remember = (id) => {
  try { localStorage.setItem(REMEMBERED, id); } catch { /* A browser that keeps nothing asks again. */ }
};

/** One <video> that shows a camera. It is let go when the page is left. */
export class Camera {
  #stream = null;
  #opening = 0;

  /**
   * @param {HTMLVideoElement} video
   * @param {{onlost?: (problem: CameraProblem) => void}} more told when the camera goes away by itself
   */
  constructor(video, { onlost } = {}) {
    this.video = video;
    this.onlost = onlost;
    video.muted = true;
    video.playsInline = true;
    addEventListener("pagehide", () => this.stop());
  }

  get open() { return this.#stream !== null; }
  get id() { return this.#settings().deviceId ?? null; }
  get label() { return this.#stream?.getVideoTracks()[0]?.label ?? ""; }
  /** The picture's size in pixels; 0 until there is one. */
  get width() { return this.video.videoWidth; }
  get height() { return this.video.videoHeight; }
  /** Whether it looks at who holds it: such a picture is shown as a mirror does. */
  get facesUser() { return this.#settings().facingMode !== "environment"; }

  /**
   * Open the camera *id*, else the one used last, else one that looks in the direction *facing*. Opens another one if one is open.
   * @param {{id?: string|null, facing?: "user"|"environment", width?: number, height?: number}} wanted size in pixels, as near as it can
   * @throws {CameraProblem}
   */
  async start({ id = null, facing = "user", width = 640, height = 480 } = {}) {
    const mine = ++this.#opening;
    if (!allowed()) throw new CameraProblem("insecure");
    this.#release();
    const size = { width: { ideal: width }, height: { ideal: height } };
    const last = id ?? remembered();
    let stream;
    try {
      stream = await this.#ask(last ? { ...size, deviceId: { exact: last } } : { ...size, facingMode: { ideal: facing } });
    } catch (error) {
      // The remembered camera is not plugged in: any other will do.
      if (id || !last || KINDS[error.name] !== "absent") throw new CameraProblem(KINDS[error.name] ?? "failed", error);
      try {
        stream = await this.#ask({ ...size, facingMode: { ideal: facing } });
      } catch (second) {
        throw new CameraProblem(KINDS[second.name] ?? "failed", second);
      }
    }
    if (mine !== this.#opening) {  // Stopped, or started anew, while the browser was asking.
      stream.getTracks().forEach((track) => track.stop());
      return false;
    }
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (this.#stream !== stream) return;
      this.stop();
      this.onlost?.(new CameraProblem("lost"));
    });
    if (id) remember(id);
    this.video.srcObject = stream;
    try {
      await this.video.play();
    } catch (error) {
      if (mine !== this.#opening) return false;
      this.stop();
      throw new CameraProblem("failed", error);
    }
    return mine === this.#opening;
  }

  /** Let the camera go; its light goes out. */
  stop() {
    this.#opening++;
    this.#release();
  }

  /**
   * The picture of now as a JPEG.
   * @param {{width?: number, quality?: number}} how at most this wide, in pixels; quality in 0..1
   * @returns {Promise<{blob: Blob, width: number, height: number, at: number}>} *at*: performance.now() when it was taken
   */
  async grab({ width = 640, quality = 0.85 } = {}) {
    if (!this.width) throw new CameraProblem("failed");
    const at = performance.now();
    return { ...(await jpeg(this.video, this.width, this.height, { width, quality })), at };
  }

  #ask(video) { return navigator.mediaDevices.getUserMedia({ video, audio: false }); }
  #settings() { return this.#stream?.getVideoTracks()[0]?.getSettings() ?? {}; }
  #release() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.video.srcObject = null;
  }
}

/** Draw a picture (video, image, bitmap) no wider than *width* and pack it as a JPEG. */
export async function jpeg(source, sourceWidth, sourceHeight, { width = Infinity, quality = 0.85 } = {}) {
  const scale = Math.min(1, width / sourceWidth);
  const [w, h] = [Math.round(sourceWidth * scale), Math.round(sourceHeight * scale)];
  const canvas = surface(w, h);
  canvas.getContext("2d", { alpha: false }).drawImage(source, 0, 0, w, h);
  return { blob: await packed(canvas, quality), width: w, height: h };
}

/** A canvas that is in no page. */
export const surface = (width, height) =>
  globalThis.OffscreenCanvas ? new OffscreenCanvas(width, height) : element("canvas", { width, height });

/** A canvas as a JPEG. */
export const packed = (canvas, quality = 0.9) =>
  canvas.convertToBlob
    ? canvas.convertToBlob({ type: "image/jpeg", quality })
    : new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));

/**
 * Fill *select* with the cameras that there are, the open one chosen, and open another when the reader chooses it.
 * The select and its label are hidden while there is no choice.
 * @param {HTMLSelectElement} select inside an element with the class "chooser"
 * @param {Camera} camera
 * @param {(id: string) => void} onchoice opens it; whoever calls decides what else changes
 */
export async function offer(select, camera, onchoice) {
  const found = await cameras();
  select.replaceChildren(...found.map((one) => element("option", { value: one.id, selected: one.id === camera.id }, one.label)));
  select.closest(".chooser").hidden = found.length < 2;
  select.onchange = () => { remember(select.value); onchoice(select.value); };
  if (allowed()) navigator.mediaDevices.ondevicechange = () => camera.open && offer(select, camera, onchoice);
}

/** Say why there is no picture, in a notice that is empty otherwise; with the command where HTTPS is what is missing. */
export function explain(notice, problem) {
  notice.replaceChildren();
  notice.hidden = !problem;
  if (!problem) return;
  notice.append(element("p", {}, problem.message));
  if (problem.kind === "insecure") {
    notice.append(element("pre", { tabindex: "0" }, element("code", {}, "colega up --tls CERT KEY\ncolega up --self-signed")));
  }
}
