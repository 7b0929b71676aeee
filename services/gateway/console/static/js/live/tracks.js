// Tracks: which face of an answer is which of those on the screen, where each is now, and what it is called.
//
// An answer belongs to the frame it was asked about. Its boxes are dealt out, one to each track at the least cost in all (H. W.
// Kuhn, "The Hungarian Method", 1955, as SORT does: Bewley et al., "Simple Online and Realtime Tracking", 2016), to where the
// tracks *were* when that frame was taken; who is recognised counts beside the distance, so that names stay with faces that
// cross (as appearance does in DeepSORT, Wojke et al., 2017). What was found then is followed through the frames since.

import { Deciding, NAMED, UNSURE } from "./deciding.js";
import { find, template } from "./follow.js";

const GATE = 1.0; // Sides of a face that it may be away from where its track was,
const GATE_A_S = 1.0; // and so many more for each second that it was not found;
const GATE_KNOWN = 2.5; // or so many if it is recognised as who the track is.
const AGREES = 1.0; // What recognition is worth, in sides.
const GROWTH = 0.7; // Logarithm of the greatest change of size.
const RADIUS = 4; // Reduced pixels about the expected place.
const ALIKE = 0.75; // Correlation from which a patch is the same one,
const SURE = 0.9; // and where it is crowded.
const CROWDED = 0.1; // IoU from which two boxes hide each other.
const HIDDEN = 0.1; // IoU from which a face that was not found is behind the other.
const PACE = 0.35; // How quickly the velocity follows.
const COASTS_MS = 250; // A face that is not seen goes on so far.
const SMOOTH_MS = 90; // A correction is shown in about this time.
const SIZE = 0.6; // How much of a new size is taken at once.
const KEPT_MS = 5000; // Of the past; and without any answer for so long all is forgotten.
const LOST_MS = 400; // Neither an answer nor its pattern says where it is: not drawn any more.
const GONE_MS = 1800; // No answer has it: forgotten,
const GONE_ANSWERS = 3; // if there were so many.
const NEVER = 1e6;

let numbers = 0;

class Track {
  constructor(time, box) {
    this.number = ++numbers;
    this.deciding = new Deciding();
    [this.x, this.y, this.w, this.h] = [box.x + box.w / 2, box.y + box.h / 2, box.w, box.h];
    this.found = this.time = this.seen = time;
    this.velocity = [0, 0]; // Pixels a ms,
    this.growth = 0; // logarithm of the size a ms.
    this.past = [{ time, x: this.x, y: this.y }];
    this.offset = [0, 0]; // From where it is to where it is shown.
    this.held = null;
    this.anchors = 0;
    this.missed = 0; // Answers since it was found.
  }

  /** Where it was at *time*. */
  was(time) {
    const after = this.past.findIndex((one) => one.time >= time);
    if (after < 0) return this;
    const [b, a] = [this.past[after], this.past[Math.max(after - 1, 0)]];
    const share = b.time > a.time ? Math.min(1, Math.max(0, (time - a.time) / (b.time - a.time))) : 1;
    return { x: a.x + (b.x - a.x) * share, y: a.y + (b.y - a.y) * share };
  }

  /** On to *frame*: to where its patch is found, else by the pace it had. */
  move(time, frame, crowded) {
    const dt = Math.max(time - this.time, 0);
    const coasting = Math.exp(-Math.max(time - this.seen - COASTS_MS, 0) / COASTS_MS);
    const expected = [this.x + this.velocity[0] * dt * coasting, this.y + this.velocity[1] * dt * coasting];
    const seen = frame && this.held ? find(this.held, frame, ...expected, RADIUS) : null;
    if (seen && seen.likeness >= (crowded ? SURE : ALIKE)) {
      if (dt) this.#pace((seen.x - this.x) / dt, (seen.y - this.y) / dt, dt);
      [this.x, this.y, this.seen] = [seen.x, seen.y, time];
    } else {
      [this.x, this.y] = expected;
    }
    this.#grow(Math.exp(this.growth * dt * coasting));
    this.time = time;
    this.past.push({ time, x: this.x, y: this.y });
    while (this.past.length > 2 && time - this.past[1].time > KEPT_MS) this.past.shift();
    this.#settle(dt);
  }

  /** It was found at *box* in the frame of *time*; what has passed since is followed again from there. */
  anchor(time, box, frames, crowded) {
    const [x, y] = [box.x + box.w / 2, box.y + box.h / 2];
    const shown = [this.x + this.offset[0], this.y + this.offset[1]];
    const [before, now] = [this.was(time), this.time];
    const elapsed = time - this.found;
    if (this.anchors++ && elapsed > 0) {
      const ago = Math.exp(-this.growth * Math.min(now - time, COASTS_MS)); // Its size as it was then, by what was known.
      const more = Math.log((box.w * box.h) / (this.w * this.h * ago * ago)) / 2;
      this.growth += (PACE * SIZE * more) / elapsed;
      this.#grow(ago * Math.exp(SIZE * more));
      const shape = Math.sqrt(box.h / box.w / (this.h / this.w)) ** SIZE;
      this.w /= shape;
      this.h *= shape;
    }
    const frame = frames?.at(time);
    if (frame) {
      this.held = template(frame, { x, y, w: this.w, h: this.h });
      this.past = this.past.filter((one) => one.time < time);
      this.past.push({ time, x, y });
      [this.x, this.y, this.time, this.found, this.seen] = [x, y, time, time, time];
      for (const later of frames.after(time)) if (later.time <= now) this.move(later.time, later, crowded(this, later.time));
    } else {
      if (!frames && elapsed > 0) this.#pace((x - before.x) / elapsed + this.velocity[0], (y - before.y) / elapsed + this.velocity[1], elapsed);
      const [dx, dy] = [x - before.x, y - before.y];
      for (const one of this.past) if (one.time >= time) { one.x += dx; one.y += dy; }
      this.x += dx;
      this.y += dy;
      [this.found, this.seen] = [time, this.time];
    }
    this.offset = [shown[0] - this.x, shown[1] - this.y];
  }

  /** Its box as it is shown now. */
  get box() {
    return { x: this.x + this.offset[0] - this.w / 2, y: this.y + this.offset[1] - this.h / 2, w: this.w, h: this.h };
  }

  #pace(vx, vy, dt) {
    const share = 1 - (1 - PACE) ** (dt / 33);
    this.velocity[0] += share * (vx - this.velocity[0]);
    this.velocity[1] += share * (vy - this.velocity[1]);
  }

  #grow(factor) {
    this.w *= factor;
    this.h *= factor;
  }

  #settle(dt) {
    const left = Math.exp(-dt / SMOOTH_MS);
    this.offset = [this.offset[0] * left, this.offset[1] * left];
  }
}

export class Tracks {
  #tracks = [];
  #frames;
  #applied = -Infinity;
  #time = 0;

  /** @param {import("./follow.js").Frames|null} frames the camera's, reduced; without them faces are followed by their pace */
  constructor(frames = null) { this.#frames = frames; }

  /** The camera's frame of *time*, in ms: all go on to it. */
  frame(time) {
    this.#time = time;
    const frame = this.#frames?.at(time) ?? null;
    const crowded = new Map(this.#tracks.map((track) => [track, this.#crowded(track, track.time)]));
    for (const track of this.#tracks) track.move(time, frame, crowded.get(track));
    const still = time - this.#applied < KEPT_MS;
    this.#tracks = this.#tracks.filter((track) => still && (this.#applied - track.found < GONE_MS || track.missed < GONE_ANSWERS));
  }

  /**
   * The faces that were found in the frame of *time*.
   * @param {{box: {x, y, w, h}, matches: object[]}[]} faces video pixels; persons nearest first: {id, name, similarity}
   * @param {number} threshold the similarity from which a person is accepted
   * @returns {boolean} false where an answer about a later frame has come already: nothing is changed
   */
  answer(time, faces, threshold) {
    if (time <= this.#applied) return false;
    this.#applied = time;
    const dealt = this.#deal(time, faces, threshold);
    faces.forEach(({ box, matches }, i) => {
      let track = dealt[i];
      if (!track) this.#tracks.push((track = new Track(time, box)));
      track.anchor(time, box, this.#frames, (one, at) => this.#crowded(one, at));
      if (track.time < this.#time && !this.#frames) track.move(this.#time, null, true);
      track.deciding.hear(time, matches);
      track.missed = -1;
    });
    for (const track of this.#tracks) track.missed++;
    this.#decide(threshold);
    return true;
  }

  /** What is on the screen: {number, box, state, person, strength in (0, 1], found: when}. */
  shown() {
    const found = this.#tracks.filter((track) => track.found === this.#applied);
    // Who was not found and is behind somebody who was is not to be seen.
    const visible = this.#tracks.filter((track) => track.found === this.#applied || !found.some((one) => overlap(track, one) > HIDDEN));
    return visible.map((track) => {
      const lost = this.#frames ? track.time - track.seen : 0; // Since its pattern was last found.
      const gone = track.missed > 1 ? this.#applied - track.found : 0;
      const strength = Math.min(left(lost, LOST_MS), left(gone, GONE_MS));
      const { state, person } = track.deciding;
      return { number: track.number, box: track.box, state, person, strength, found: track.found };
    }).filter((one) => one.strength > 0.3);
  }

  clear() {
    this.#tracks = [];
    this.#applied = -Infinity;
  }

  /** For each face its track, or undefined: of all ways to deal them out the one that costs least. */
  #deal(time, faces, threshold) {
    const costs = faces.map((face) => this.#tracks.map((track) => cost(time, face, track, threshold)));
    return assign(costs, this.#tracks.length).map((place) => this.#tracks[place]);
  }

  #crowded(track, time) {
    const at = track.was(time);
    return this.#tracks.some((other) => other !== track && overlap({ ...at, w: track.w, h: track.h }, { ...other.was(time), w: other.w, h: other.h }) > CROWDED);
  }

  /** One person is one track: whoever was found last, and of two in one answer who is more like them. */
  #decide(threshold) {
    const bearers = new Map();
    for (const track of this.#tracks) track.deciding.decide(threshold);
    for (const track of [...this.#tracks].sort((a, b) => b.found - a.found || support(b) - support(a))) {
      const { state, person } = track.deciding;
      if (state !== NAMED) continue;
      const bearer = bearers.get(person.id);
      if (!bearer) bearers.set(person.id, track);
      else if (track.found < bearer.found) this.#tracks.splice(this.#tracks.indexOf(track), 1);
      else track.deciding.doubt();
    }
  }
}

const support = ({ deciding }) => (deciding.state === UNSURE || !deciding.person ? -1 : deciding.support(deciding.person.id));

/** What it costs that *face* is *track*, in sides; at least NEVER where it cannot be. */
function cost(time, { box, matches }, track, threshold) {
  const was = track.was(time);
  const side = Math.sqrt((box.w + track.w) * (box.h + track.h)) / 2;
  const away = Math.hypot(box.x + box.w / 2 - was.x, box.y + box.h / 2 - was.y) / side;
  const growth = Math.abs(Math.log((box.w * box.h) / (track.w * track.h))) / 2;
  const best = matches[0] && matches[0].similarity >= threshold ? matches[0].id : null;
  const { person } = track.deciding;
  const agrees = person && best ? (person.id === best ? 1 : -1) : 0;
  const gate = (agrees > 0 ? GATE_KNOWN : GATE) + (GATE_A_S * Math.max(0, time - track.found)) / 1000;
  if (away > gate || growth > GROWTH + (agrees > 0 ? GROWTH : 0)) return NEVER;
  return away + growth - AGREES * agrees;
}

/** What is left of one after *ms* of *most*: all in the first quarter. */
const left = (ms, most) => Math.min(1, Math.max(0, (most - ms) / (0.75 * most)));

/** IoU of two boxes given by their centres. */
function overlap(a, b) {
  const across = Math.min(a.x + a.w / 2, b.x + b.w / 2) - Math.max(a.x - a.w / 2, b.x - b.w / 2);
  const down = Math.min(a.y + a.h / 2, b.y + b.h / 2) - Math.max(a.y - a.h / 2, b.y - b.h / 2);
  if (across <= 0 || down <= 0) return 0;
  return (across * down) / (a.w * a.h + b.w * b.h - across * down);
}

/**
 * The Hungarian method by shortest augmenting paths: a column for each row, so that the sum is least.
 * @param {number[][]} costs rows by *width* columns
 * @returns {number[]} for each row its column; -1 where none was possible
 */
export function assign(costs, width) {
  const rows = costs.length;
  const columns = Math.max(rows, width); // Columns beyond *width* stand for "none".
  const price = (row, column) => (column < width ? Math.min(costs[row][column], NEVER) : NEVER);
  const [u, v] = [new Float64Array(rows + 1), new Float64Array(columns + 1)];
  const owner = new Int32Array(columns + 1); // Rows and columns are counted from 1; 0 is nobody.
  const way = new Int32Array(columns + 1);
  for (let row = 1; row <= rows; row++) {
    owner[0] = row;
    let column = 0;
    const least = new Float64Array(columns + 1).fill(Infinity);
    const used = new Uint8Array(columns + 1);
    do {
      used[column] = 1;
      let [delta, next] = [Infinity, 0];
      for (let j = 1; j <= columns; j++) {
        if (used[j]) continue;
        const reduced = price(owner[column] - 1, j - 1) - u[owner[column]] - v[j];
        if (reduced < least[j]) [least[j], way[j]] = [reduced, column];
        if (least[j] < delta) [delta, next] = [least[j], j];
      }
      for (let j = 0; j <= columns; j++) {
        if (used[j]) { u[owner[j]] += delta; v[j] -= delta; } else least[j] -= delta;
      }
      column = next;
    } while (owner[column]);
    do {
      owner[column] = owner[way[column]];
      column = way[column];
    } while (column);
  }
  const found = new Array(rows).fill(-1);
  for (let j = 1; j <= width; j++) if (owner[j] && costs[owner[j] - 1][j - 1] < NEVER) found[owner[j] - 1] = j - 1;
  return found;
}
