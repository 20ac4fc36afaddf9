// The picture as it is sent: upright, and small where the browser can decode it.

import { setting } from "../common/settings.js";

const LONGEST_SIDE = 512; // what the networks look at is smaller
const QUALITY = 0.9;
const SMALL_BYTES = 150_000;
const AS_IT_IS = /^image\/(jpeg|png|webp)$/;

/** @typedef {{ blob: Blob, scaled: boolean }} Sent */

/**
 * What to send of the file. What the browser cannot decode goes as it is; the service says what it is.
 * @param {File} file
 * @returns {Promise<Sent>}
 */
export async function toSend(file) {
  const asItIs = { blob: file, scaled: false };
  if (!setting("scale")) return asItIs;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return asItIs;
  }
  try {
    const factor = LONGEST_SIDE / Math.max(bitmap.width, bitmap.height);
    if (factor >= 1 && file.size <= SMALL_BYTES && AS_IT_IS.test(file.type)) return asItIs;
    const blob = await drawn(bitmap, Math.min(1, factor));
    return blob ? { blob, scaled: true } : asItIs;
  } finally {
    bitmap.close();
  }
}

/**
 * @param {ImageBitmap} bitmap
 * @param {number} factor
 * @returns {Promise<Blob | null>}
 */
async function drawn(bitmap, factor) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * factor));
  canvas.height = Math.max(1, Math.round(bitmap.height * factor));
  const context = canvas.getContext("2d");
  if (!context) return null;
  context.fillStyle = "white"; // where the picture is transparent, as the service has it
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
}
