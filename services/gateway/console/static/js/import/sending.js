// Sending many photos into an open import: a few requests at once, each repeated until the service has it, and never taken twice.
//
// A request's body is made once and bears an Idempotency-Key: where its answer was lost the service gives the same answer again.

import { address } from "../colega.js";

const IN_FLIGHT = 3;
const PHOTOS_A_REQUEST = 16;
const BYTES_A_REQUEST = 8 * 2 ** 20;
const LONGEST_PAUSE_S = 30;

/** The service says that it takes no more, and why. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? "");
    this.status = status;
    this.type = problem.type ?? "";
  }
}

/** A name as it comes back from a form: what browsers write for quotes and line breaks. */
export const sentName = (path) => path.replaceAll('"', "%22").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

export class Sending {
  #stopped = new AbortController();

  /**
   * @param {string} job an open import
   * @param {{path: string, file: File, label: object}[]} photos
   * @param {{most: number, onsent: (count: number) => void, onlost: (photo: object, reason: string) => void, ontrouble: (kind: string|null) => void}} more
   *   most photos a request; told how many were answered, which could not be sent, and what one waits for
   */
  constructor(job, photos, { most, onsent, onlost, ontrouble }) {
    Object.assign(this, { job, photos, onsent, onlost, ontrouble });
    this.batches = batches(photos, Math.min(most, PHOTOS_A_REQUEST));
    this.next = 0;
  }

  stop() { this.#stopped.abort(); }
  get isStopped() { return this.#stopped.signal.aborted; }

  /** Send all there is; throws Refused. Called again after that, it goes on with what was not answered. */
  async run() {
    this.refused = null;
    const lanes = Array.from({ length: IN_FLIGHT }, () => this.#lane());
    await Promise.all(lanes);
    if (this.refused) throw this.refused;
  }

  async #lane() {
    while (!this.refused && !this.isStopped) {
      const batch = this.batches.find((one) => one.state === "waiting");
      if (!batch) return;
      batch.state = "under way";
      try {
        await this.#send(batch);
        batch.state = "sent";
      } catch (error) {
        batch.state = "waiting";
        this.refused = this.isStopped ? null : error;
        return;
      }
    }
  }

  async #send(batch) {
    batch.request ??= await this.#made(batch);
    if (!batch.request) return;
    const answer = await this.#patiently(batch);
    if (answer.ok) {
      batch.request = null;  // Its bytes.
      this.onsent(batch.photos.length);
      return;
    }
    const problem = await answer.json().catch(() => ({}));
    if (![400, 413, 415, 422].includes(answer.status)) throw new Refused(answer.status, problem);
    batch.request = null;
    if (batch.photos.length === 1) {
      const reason = /photo-([a-z-]+)$/.exec(problem.type ?? "")?.[1].replaceAll("-", "_") ?? "invalid_name";
      this.onlost(batch.photos[0], reason);
      this.onsent(1);
      return;
    }
    while (batch.photos.length) {  // Which one it was is found by sending each alone.
      await this.#send({ photos: [batch.photos[0]] });
      batch.photos.shift();
    }
  }

  /** The body and its headers; null where no file of the batch can be read any more. */
  async #made(batch) {
    const readable = [];
    for (const photo of batch.photos) {
      try {
        readable.push([photo, new Blob([await photo.file.arrayBuffer()])]);
      } catch {
        this.onlost(photo, "missing_file");
        this.onsent(1);
      }
    }
    batch.photos = readable.map(([photo]) => photo);
    if (!readable.length) return null;
    const form = new FormData();
    form.append("job", this.job);
    form.append("labels", JSON.stringify(batch.photos.map(({ label }) => label)));
    for (const [photo, bytes] of readable) form.append("photo", bytes, photo.path);
    const whole = new Response(form);
    const type = whole.headers.get("Content-Type");
    return { body: await whole.blob(), headers: { "Content-Type": type, "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") } };
  }

  /** An answer other than "later". */
  async #patiently({ request }) {
    for (let attempt = 0; ; attempt++) {
      let pause = Math.min(2 ** attempt, LONGEST_PAUSE_S);
      let trouble = "away";
      try {
        const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
        const headers = { ...request.headers, "X-CSRF-Token": token, Accept: "application/json" };
        const answer = await fetch(address("photos"), { method: "POST", body: request.body, headers, signal: this.#stopped.signal });
        const isUnderWay = answer.status === 409 && /being worked on/.test((await answer.clone().json().catch(() => ({}))).detail ?? "");
        if (![429, 500, 502, 503, 504].includes(answer.status) && !isUnderWay) {
          this.ontrouble(null);
          return answer;
        }
        trouble = "busy";
        pause = Math.max(Number(answer.headers.get("Retry-After")) || 0, isUnderWay ? 1 : pause);
      } catch (error) {
        if (error.name === "AbortError") throw error;
      }
      this.ontrouble(trouble);
      await later(pause * (0.75 + Math.random() / 2), this.#stopped.signal);
    }
  }
}

function batches(photos, most) {
  const made = [];
  let bytes = 0;
  for (const photo of photos) {
    if (!made.length || made.at(-1).photos.length >= most || bytes + photo.file.size > BYTES_A_REQUEST) {
      made.push({ photos: [], state: "waiting" });
      bytes = 0;
    }
    made.at(-1).photos.push(photo);
    bytes += photo.file.size;
  }
  return made;
}

const later = (seconds, signal) => new Promise((good, bad) => {
  const timer = setTimeout(good, seconds * 1000);
  signal.addEventListener("abort", () => { clearTimeout(timer); bad(new DOMException("", "AbortError")); }, { once: true });
});

/**
 * Send an archive in one request, with its progress; fetch cannot tell of that.
 * @returns {Promise<string>} the job
 */
export function sendArchive(file, fields, { onprogress, signal }) {
  return new Promise((good, bad) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("archive", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", address("imports"));
    request.responseType = "json";
    request.setRequestHeader("X-CSRF-Token", document.querySelector('meta[name="csrf-token"]')?.content ?? "");
    request.upload.addEventListener("progress", ({ loaded, total }) => onprogress(loaded, total));
    request.addEventListener("load", () => (request.status < 300 ? good(request.response.job) : bad(new Refused(request.status, request.response ?? {}))));
    request.addEventListener("error", () => bad(new Refused(0, {})));
    request.addEventListener("abort", () => bad(new DOMException("", "AbortError")));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}
