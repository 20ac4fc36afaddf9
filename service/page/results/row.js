// A sound as one row of a list.

/** @import { Sound } from "../sound/sound.js" */

import { colourOf } from "../common/colours.js";
import { copyOf, find } from "../common/dom.js";
import { seconds } from "../common/words.js";
import { described, rating } from "../sound/sound.js";
import { showWaveform } from "../sound/waveform.js";

/** @type {WeakMap<Element, { sound: Sound, number: number }>} */
const shown = new WeakMap();

const dragged = matchMedia("(pointer: fine)");

/**
 * @param {Sound} sound
 * @param {number} number 1 for the first of the list
 */
export function rowOf(sound, number) {
  const row = copyOf("result");
  shown.set(row, { sound, number });
  row.dataset.id = sound.id;
  row.draggable = dragged.matches;
  /** @param {string} name */
  const part = (name) => find(`.${name}`, HTMLElement, row);
  part("title").textContent = sound.title;
  const material = part("material");
  material.textContent = sound.material?.name ?? "no material given";
  material.classList.toggle("unknown", !sound.material);
  if (sound.material) material.style.setProperty("--colour", colourOf(sound.material.name));
  part("seconds").textContent = seconds(sound.duration);
  part("object").textContent = sound.object ? `names: ${sound.object}` : "";
  part("author").textContent = sound.author ? `by ${sound.author}` : "";
  part("licence").textContent = sound.licence ?? "";
  const fits = rating(sound);
  part("score").hidden = !fits;
  if (fits) {
    const [name, text, share] = fits;
    part("score-name").textContent = name;
    part("score-number").textContent = text;
    part("bar").style.setProperty("--share", String(share));
    if (sound.similarity !== null) part("score").title = `Cosine similarity ${sound.similarity.toFixed(3)}`;
  }
  const download = find(".download", HTMLAnchorElement, row);
  download.href = sound.url;
  /** @type {[string, string][]} */
  const named = [
    ["download", "Download"],
    ["more-like", "More like"],
    ["less-like", "Less like"],
    ["link", "Copy a link to"],
    ["choose", "Choose"],
    ["menu", "What to do with"],
  ];
  for (const [name, verb] of named) {
    const control = part(name);
    control.setAttribute("aria-label", `${verb} sound ${number}: ${sound.title}`);
    control.title = name === "download" || name === "choose" ? verb : `${verb} this sound`;
  }
  showPlaying(row, false);
  showWaveform(part("wave"), sound);
  return row;
}

/**
 * The sound of the row that something is in, if it is in one.
 * @param {EventTarget | Element | null | undefined} inside
 * @returns {{ row: HTMLElement, sound: Sound } | null}
 */
export function rowAround(inside) {
  const row = inside instanceof Element ? inside.closest(".result") : null;
  const known = row && shown.get(row);
  return known && row instanceof HTMLElement ? { row, sound: known.sound } : null;
}

/**
 * @param {HTMLElement} row
 * @param {boolean} playing
 */
export function showPlaying(row, playing) {
  const known = shown.get(row);
  if (!known) return;
  if (playing) row.dataset.sounding = "";
  else delete row.dataset.sounding;
  const verb = playing ? "Pause" : "Play";
  const label = `${verb} sound ${known.number}: ${described(known.sound)}`;
  find(".play", HTMLButtonElement, row).setAttribute("aria-label", label);
}

/**
 * Whether the person wants more, or less, like it.
 * @param {HTMLElement} row
 * @param {"more" | "less" | null} way
 */
export function showLiked(row, way) {
  for (const one of ["more", "less"]) {
    find(`.${one}-like`, HTMLButtonElement, row).setAttribute("aria-pressed", String(one === way));
  }
}

/**
 * @param {HTMLElement} row
 * @param {string} words
 */
export function showTrouble(row, words) {
  find(".trouble", HTMLElement, row).textContent = words;
}
