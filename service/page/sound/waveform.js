// The shape of a sound: drawn when its row comes into view, filled as it plays.

/** @import { Peaks } from "../api/api.js" */
/** @import { Sound } from "./sound.js" */

import { getJson } from "../api/api.js";
import { addressOf } from "./sound.js";

const BARS = 80;
const HEIGHT = 32;
const SVG = "http://www.w3.org/2000/svg";

/** @type {WeakMap<Element, Sound>} */
const wanted = new WeakMap();
/** @type {Map<string, Promise<Peaks>>} */
const asked = new Map();

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const sound = wanted.get(target);
    if (!isIntersecting || !sound) continue;
    watcher.unobserve(target);
    draw(target, sound);
  }
});

/**
 * @param {Element} place
 * @param {Sound} sound
 */
export function showWaveform(place, sound) {
  wanted.set(place, sound);
  watcher.observe(place);
}

/**
 * @param {Element} place
 * @param {Sound} sound
 */
async function draw(place, sound) {
  const peaks = asked.get(sound.id) ?? getJson(`${addressOf(sound, "peaks")}?count=${BARS}`);
  asked.set(sound.id, peaks);
  let shape;
  try {
    shape = await peaks;
  } catch {
    // It only adorns; whether the sound can be played is said when it is played.
    asked.delete(sound.id);
    return;
  }
  const path = barsOf(shape.peaks);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${BARS} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  for (const name of ["rest", "played"]) {
    const drawn = document.createElementNS(SVG, "path");
    drawn.setAttribute("class", name);
    drawn.setAttribute("d", path);
    svg.append(drawn);
  }
  place.replaceChildren(svg);
}

/**
 * @param {number[]} peaks
 */
function barsOf(peaks) {
  const highest = Math.max(...peaks, 1e-6);
  const width = BARS / peaks.length;
  return peaks
    .map((peak, index) => {
      const height = Math.max(1, (peak / highest) * HEIGHT);
      return `M${(index * width).toFixed(2)} ${((HEIGHT - height) / 2).toFixed(2)}h${(0.62 * width).toFixed(2)}v${height.toFixed(2)}h-${(0.62 * width).toFixed(2)}z`;
    })
    .join("");
}
