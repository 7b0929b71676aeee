// A photo in the page: whether the browser shows it as the service sees it, its faces in reading order, and one face cut out.

import { packed, surface } from "./camera.js";

/** As the file says, by its first bytes. Other formats may be turned otherwise here than there, or not be shown at all. */
export async function isShownAlike(file) {
  const head = new Uint8Array(await file.slice(0, 8).arrayBuffer());
  const begins = (...bytes) => bytes.every((byte, place) => head[place] === byte);
  return begins(0xff, 0xd8, 0xff) || begins(0x89, 0x50, 0x4e, 0x47) || begins(0x42, 0x4d);
}

/** Show *source* (a Blob) in *image*. False where the browser cannot. The caller revokes `image.src`. */
export async function show(image, source) {
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(source);
  try {
    await image.decode();
    return true;
  } catch {
    return false;
  }
}

/** base64 as a JPEG. */
export const fromBase64 = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], { type: "image/jpeg" });

/** Faces as one reads: row by row from the top, each from the left. A face belongs to a row whose middle it covers. */
export function inReadingOrder(faces) {
  const middle = (face) => face.box.y + face.box.h / 2;
  const rows = [];
  for (const face of [...faces].sort((a, b) => middle(a) - middle(b))) {
    const row = rows.at(-1);
    const mean = row && row.reduce((sum, one) => sum + middle(one), 0) / row.length;
    if (row && face.box.y < mean) row.push(face);
    else rows.push([face]);
  }
  return rows.flatMap((row) => row.sort((a, b) => a.box.x - b.box.x));
}

/** A box with *margin* times its longer side around it, cut off where the photo ends; in the photo's pixels. */
export function around(box, margin, width, height) {
  const by = margin * Math.max(box.w, box.h);
  const x = Math.max(0, Math.floor(box.x - by)), y = Math.max(0, Math.floor(box.y - by));
  return { x, y, w: Math.min(width, Math.ceil(box.x + box.w + by)) - x, h: Math.min(height, Math.ceil(box.y + box.h + by)) - y };
}

/** The pixels of an image or a canvas, whichever it is. */
const sizeOf = (source) => [source.naturalWidth ?? source.width, source.naturalHeight ?? source.height];

/** Draw a face, with a little around it and square, onto *canvas*; *box* in pixels of a photo *width* by *height*. */
export function drawFace(canvas, image, box, width, height) {
  const side = 1.5 * Math.max(box.w, box.h);
  const [across, down] = [sizeOf(image)[0] / width, sizeOf(image)[1] / height];
  const [x, y] = [box.x + box.w / 2 - side / 2, box.y + box.h / 2 - side / 2];
  canvas.getContext("2d").drawImage(image, x * across, y * down, side * across, side * down, 0, 0, canvas.width, canvas.height);
}

/**
 * One face of a photo as a JPEG of its own: the face with as much around it as any model looks at, everybody else painted over.
 * So it is that face which is enrolled, and nobody else is kept.
 * @param {HTMLImageElement|HTMLCanvasElement|OffscreenCanvas} image the photo, at any size
 * @param {object[]} faces all of them, boxes in pixels of a photo *width* by *height*
 * @param {object|null} face one of them; null: all of the photo
 */
export async function cutOut(image, faces, face, width, height) {
  const [across, down] = [sizeOf(image)[0] / width, sizeOf(image)[1] / height];
  const part = face ? around(face.box, 0.7, width, height) : { x: 0, y: 0, w: width, h: height };
  const canvas = surface(Math.round(part.w * across), Math.round(part.h * down));
  const paint = canvas.getContext("2d", { alpha: false });
  paint.drawImage(image, part.x * across, part.y * down, part.w * across, part.h * down, 0, 0, canvas.width, canvas.height);
  if (!face) return packed(canvas, 0.95);
  paint.setTransform(across, 0, 0, down, -part.x * across, -part.y * down);
  paint.beginPath();
  paint.rect(part.x, part.y, part.w, part.h);
  paint.rect(face.box.x, face.box.y, face.box.w, face.box.h);
  paint.clip("evenodd");
  paint.fillStyle = "#808080";
  for (const other of faces) if (other !== face) paint.fillRect(other.box.x, other.box.y, other.box.w, other.box.h);
  return packed(canvas, 0.95);
}
