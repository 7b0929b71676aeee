// How to stand before the camera: what a frame's measurements say, in the order in which they are to be put right.
// Pure: no camera, no page. Angles are estimated as the service judges poses (workers/faces/quality.py).

/** Of the frame's height, a face's box: below the first it is too far, above the second too near. */
export const HEIGHT = [0.26, 0.8];
/** Of the frame's width and height, from the middle of the face to the middle of the frame. */
const AWAY = [0.22, 0.24];
/** A second face counts from this share of the first one's area on. */
const BESIDE = 0.15;
/** The mean of the face's luma, 0 to 255. */
const LIGHT = [48, 232];
/** The mean of the whole frame's luma below which there is nothing to find a face by. */
const NIGHT = 32;
/** Sideways, in eye distances, of the nose from the middle; up and down, as a share of eyes to mouth; tilt in radians. */
const YAW = 0.2, PITCH = 0.2, ROLL = 0.3;
const STRAIGHT_PITCH = 0.55;
/** Face widths a second. */
const SPEED = 0.9;
/** Parts of the service's quality, 0 to 1. */
const SHARP = 0.25, EXPOSED = 0.3;

const area = (face) => face.box.w * face.box.h;
export const largest = (faces) => faces.reduce((best, face) => (best && area(best) >= area(face) ? best : face), null);

/** Where a face looks, from its five landmarks [x, y]: eyes, nose, corners of the mouth. All three are 0 for straight on. */
export function pose([left, right, nose, lipLeft, lipRight]) {
  const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const [eyes, lips] = [middle(left, right), middle(lipLeft, lipRight)];
  const across = [right[0] - left[0], right[1] - left[1]], down = [lips[0] - eyes[0], lips[1] - eyes[1]];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
  const [apart, tall] = [Math.hypot(...across), Math.hypot(...down)];
  if (Math.min(apart, tall) < 1e-6) return { yaw: 1, pitch: 1, roll: 0 };
  const centre = middle(eyes, lips);
  return {
    yaw: dot([nose[0] - centre[0], nose[1] - centre[1]], across) / apart ** 2,
    pitch: dot([nose[0] - eyes[0], nose[1] - eyes[1]], down) / tall ** 2 - STRAIGHT_PITCH,
    roll: Math.atan2(across[1], across[0]),
  };
}

/** The mean luma, 0 to 255, of RGBA *pixels* of a picture *width* wide, inside *box* if one is given. */
export function luma(pixels, width, height, box = { x: 0, y: 0, w: width, h: height }) {
  let sum = 0, count = 0;
  const right = Math.min(width, Math.ceil(box.x + box.w)), bottom = Math.min(height, Math.ceil(box.y + box.h));
  for (let y = Math.max(0, Math.floor(box.y)); y < bottom; y++) {
    for (let x = Math.max(0, Math.floor(box.x)); x < right; x++) {
      const at = 4 * (y * width + x);
      sum += 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
      count++;
    }
  }
  return count ? sum / count : 0;
}

/**
 * What is to be put right first; "good" where nothing is.
 * @param {{faces: object[], width: number, height: number}} seen what /v1/detect says of a frame
 * @param {(box?: object) => number} light the mean luma of the frame, or of a box in it
 * @param {{face: object, at: number}|null} before the face of the last frame, and when that was, in ms
 * @param {number} at when this frame was taken, in ms
 * @returns {{advice: string, face: object|null, fine: Set<string>}} *fine*: which of distance, light, straight and still are
 */
export function judge({ faces, width, height }, light, before, at) {
  const face = largest(faces);
  if (!face) return { advice: light() < NIGHT ? "dark" : "nobody", face, fine: new Set() };
  if (faces.some((other) => other !== face && area(other) >= BESIDE * area(face))) return { advice: "several", face, fine: new Set() };
  const { box, quality_parts: parts } = face;
  const wrong = [];
  const shares = box.h / height;
  if (shares < HEIGHT[0]) wrong.push("closer");
  if (shares > HEIGHT[1]) wrong.push("back");
  const away = [Math.abs(box.x + box.w / 2 - width / 2) / width, Math.abs(box.y + box.h / 2 - height / 2) / height];
  if (!wrong.length && (away[0] > AWAY[0] || away[1] > AWAY[1])) wrong.push("middle");
  const lit = light(box);
  if (lit < LIGHT[0]) wrong.push("dark");
  else if (lit > LIGHT[1]) wrong.push("bright");
  else if (parts.exposure < EXPOSED) wrong.push("flat");
  const { yaw, pitch, roll } = pose(face.landmarks);
  if (Math.abs(yaw) > YAW || Math.abs(pitch) > PITCH) wrong.push("straight");
  else if (Math.abs(roll) > ROLL) wrong.push("upright");
  const moved = before && Math.hypot(box.x + box.w / 2 - before.face.box.x - before.face.box.w / 2, box.y + box.h / 2 - before.face.box.y - before.face.box.h / 2) / box.w;
  if (before && moved / Math.max((at - before.at) / 1000, 0.05) > SPEED) wrong.push("still");
  else if (parts.sharpness < SHARP && shares >= HEIGHT[0]) wrong.push("blurred");
  const none = (...some) => !some.some((one) => wrong.includes(one));
  const fine = new Set();
  if (none("closer", "back", "middle")) fine.add("distance");
  if (none("dark", "bright", "flat")) fine.add("light");
  if (none("straight", "upright")) fine.add("straight");
  if (none("still", "blurred")) fine.add("still");
  return { advice: wrong[0] ?? "good", face, fine };
}

/** Gathers good frames until there are enough over long enough; a bad one takes some of it back. */
export class Gathering {
  static FRAMES = 5;
  static LEAST_MS = 900;
  #good = [];

  /** @returns {number} how far it is, 0 to 1 */
  add(frame, isGood) {
    if (isGood) this.#good.push(frame);
    else this.#good.splice(0, 2);
    return this.share;
  }

  get share() {
    if (!this.#good.length) return 0;
    const lasted = this.#good.at(-1).at - this.#good[0].at;
    return Math.min(1, this.#good.length / Gathering.FRAMES, Math.max(0.15, lasted / Gathering.LEAST_MS));
  }

  /** The frame whose face is best for recognition. */
  get best() { return this.#good.reduce((best, frame) => (best && best.face.quality >= frame.face.quality ? best : frame), null); }
  clear() { this.#good = []; }
}
