// Following a face from one camera frame to the next, while the service is still looking at an older one.
//
// Template matching: J. P. Lewis, "Fast Normalized Cross-Correlation", 1995, over a few places of a frame that is reduced to
// 160 pixels; a parabola through the best place and its neighbours gives the part of a pixel. docs/live.md has what it was
// measured against.

export const REDUCED_PX = 160;

const POINTS = 12; // A template has at most so many points a side.
const INNER = 0.8; // Share of the box that belongs to the face and not to what is behind it.
const FLAT = 4; // Grey levels of deviation below which there is nothing to hold on to.

/** The latest reduced frames, oldest first: {time, data: Uint8 grey, width, height, scale: reduced pixels a video pixel}. */
export class Frames {
  #kept = [];
  #most;

  constructor(most = 120) { this.#most = most; }

  add(frame) {
    this.#kept.push(frame);
    if (this.#kept.length > this.#most) this.#kept.shift();
  }

  /** The frame that was taken at *time*, if it is still kept. */
  at(time) { return this.#kept.find((one) => one.time === time) ?? null; }

  /** Those that were taken after *time*. */
  after(time) { return this.#kept.filter((one) => one.time > time); }

  clear() { this.#kept = []; }
}

/** RGBA as grey: (red + 2 green + blue) / 4. */
export function grey(rgba) {
  const out = new Uint8Array(rgba.length / 4);
  for (let i = 0, j = 0; i < out.length; i++, j += 4) out[i] = (rgba[j] + 2 * rgba[j + 1] + rgba[j + 2]) >> 2;
  return out;
}

/** What is in *frame* at a box ({x, y: centre, w, h}, video pixels), to be found again; null where nothing stands out. */
export function template(frame, { x, y, w, h }) {
  const across = offsets(w * INNER * frame.scale);
  const down = offsets(h * INNER * frame.scale);
  const [left, top] = [Math.round(x * frame.scale), Math.round(y * frame.scale)];
  const values = new Float32Array(across.length * down.length);
  sample(frame, left, top, across, down, values);
  const deviation = normalise(values);
  if (deviation < FLAT) return null;
  return { across, down, values, beyond: [x * frame.scale - left, y * frame.scale - top] };
}

/**
 * Where *held* is in *frame*, no farther than *radius* reduced pixels from (x, y) in video pixels.
 * @returns {{x: number, y: number, likeness: number}} video pixels; correlation in [-1, 1]
 */
export function find(held, frame, x, y, radius) {
  const { across, down, values, beyond } = held;
  const [left, top] = [Math.round(x * frame.scale - beyond[0]), Math.round(y * frame.scale - beyond[1])];
  const side = 2 * radius + 1;
  const likeness = new Float32Array(side * side);
  const seen = new Float32Array(values.length);
  let best = 0;
  for (let place = 0; place < likeness.length; place++) {
    sample(frame, left + (place % side) - radius, top + Math.floor(place / side) - radius, across, down, seen);
    likeness[place] = correlation(values, seen);
    if (likeness[place] > likeness[best]) best = place;
  }
  const [column, row] = [best % side, Math.floor(best / side)];
  const dx = column > 0 && column < side - 1 ? vertex(likeness[best - 1], likeness[best], likeness[best + 1]) : 0;
  const dy = row > 0 && row < side - 1 ? vertex(likeness[best - side], likeness[best], likeness[best + side]) : 0;
  return {
    x: (left + column - radius + dx + beyond[0]) / frame.scale,
    y: (top + row - radius + dy + beyond[1]) / frame.scale,
    likeness: likeness[best],
  };
}

/** Whole pixels about 0 that cover *length*. */
function offsets(length) {
  const count = Math.max(3, Math.min(POINTS, Math.round(length)));
  return Int32Array.from({ length: count }, (_, i) => Math.round((i / (count - 1) - 0.5) * (length - 1)));
}

function sample({ data, width, height }, left, top, across, down, out) {
  let n = 0;
  for (const dy of down) {
    const y = Math.min(height - 1, Math.max(0, top + dy)) * width;
    for (const dx of across) out[n++] = data[y + Math.min(width - 1, Math.max(0, left + dx))];
  }
}

/** Take the mean off and divide by the norm; returns the deviation that there was. */
function normalise(values) {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] -= mean) ** 2;
  const norm = Math.sqrt(squares) || 1;
  for (let i = 0; i < values.length; i++) values[i] /= norm;
  return Math.sqrt(squares / values.length);
}

/** Of *held*, normalised, and *seen*, as it is. */
function correlation(held, seen) {
  let [sum, squares, product] = [0, 0, 0];
  for (let i = 0; i < seen.length; i++) {
    sum += seen[i];
    squares += seen[i] * seen[i];
    product += held[i] * seen[i];
  }
  const spread = squares - (sum * sum) / seen.length;
  return spread > 1e-3 ? product / Math.sqrt(spread) : -1;
}

/** Where the parabola through three neighbours has its top, in pixels from the middle one. */
function vertex(before, middle, after) {
  const bend = before - 2 * middle + after;
  return bend < 0 ? Math.max(-0.5, Math.min(0.5, (0.5 * (before - after)) / bend)) : 0;
}
