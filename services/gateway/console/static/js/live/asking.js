// Asking about a camera's frames: the newest frame wins. A frame is taken when there is room for it, so that no queue builds up;
// where the service is busy or away it is left alone for a while, and asked again by itself.

const AT_ONCE = 1; // Questions under way. A second one mostly waits behind the first, and its frame grows old.
const GIVE_UP_MS = 8000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

export class Asking {
  #under = new Set();
  #waitUntil = 0;
  #waited = 0;
  #sent = -Infinity;

  /**
   * @param {(blob: Blob, signal: AbortSignal) => Promise<object>} question rejects with a Problem
   * @param {{onanswer: (answer: object, time: number, scale: number) => void, ontrouble: (problem: Error, again: boolean) => void}} told
   *     *again*: it is asked again by itself
   */
  constructor(question, { onanswer, ontrouble }) {
    this.question = question;
    this.onanswer = onanswer;
    this.ontrouble = ontrouble;
  }

  /** Whether the frame of now may be asked about, if there should be at most one every *pause* ms. */
  hasRoom(now, pause) { return this.#under.size < AT_ONCE && now >= this.#waitUntil && now - this.#sent >= pause; }

  /**
   * Ask about a frame.
   * @param {Promise<Blob>} packing the frame as a JPEG
   * @param {number} time when the frame was taken; goes back with the answer
   * @param {number} scale pixels of the video for one of the JPEG
   */
  async ask(packing, time, scale) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort("late"), GIVE_UP_MS);
    this.#under.add(abort);
    this.#sent = performance.now();
    try {
      const answer = await this.question(await packing, abort.signal);
      if (!this.#under.has(abort)) return; // Forgotten meanwhile.
      this.#waited = 0;
      this.onanswer(answer, time, scale);
    } catch (problem) {
      if (this.#under.has(abort)) this.#wait(problem);
    } finally {
      clearTimeout(timer);
      this.#under.delete(abort);
    }
  }

  /** Forget what is under way; its answers are not heard. */
  forget() {
    const under = [...this.#under];
    this.#under.clear();
    for (const abort of under) abort.abort();
    this.#waitUntil = 0;
  }

  #wait(problem) {
    const status = problem.status ?? 0;
    const again = status === 0 || status === 409 || status === 429 || status >= 500;
    this.#waited = Math.min(LONGEST_WAIT_MS, this.#waited ? 2 * this.#waited : FIRST_WAIT_MS);
    const wait = again ? Math.max(this.#waited, 1000 * (problem.retryAfterS ?? 0)) : Infinity;
    this.#waitUntil = performance.now() + wait;
    this.ontrouble(problem, again);
  }
}
