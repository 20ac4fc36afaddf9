// The picture to be touched: its map is taken over, its sounds are got ready, and it is said what is where.

/** @import { Answer, PictureMap } from "../api/api.js" */

import { Problem } from "../api/api.js";
import { inWords, troubleOf } from "../api/problems.js";
import { find } from "../common/dom.js";
import { listed, sentence, shareWords } from "../common/words.js";
import { loadClips } from "../sound/clips.js";
import { newPicture } from "../sound/instrument.js";
import { showMap } from "./overlay.js";
import { mapOfWhole, soundsByUse } from "./places.js";
import { setTouched } from "./touch.js";

const MOST_NAMED = 3;

const preview = find("#preview", HTMLImageElement);
const missing = find("#preview-missing", HTMLElement);
const stage = find("#stage", HTMLElement);
const note = find("#touch-note", HTMLElement);
const again = find("#map-again", HTMLButtonElement);

/** @type {AbortController | null} */
let loading = null;

/**
 * @param {() => void} askAgain
 */
export function startTouchView(askAgain) {
  again.addEventListener("click", () => {
    again.hidden = true;
    note.textContent = "Looking again…";
    askAgain();
  });
  preview.addEventListener("load", () => {
    stage.style.setProperty("--ratio", String(preview.naturalWidth / preview.naturalHeight));
  });
  preview.addEventListener("error", () => {
    if (!preview.getAttribute("src")) return;
    preview.hidden = true;
    missing.hidden = false;
  });
}

/**
 * @param {File} file
 */
export function showPicture(file) {
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  preview.alt = "The picture you chose";
  preview.hidden = false;
  missing.hidden = true;
  missing.textContent = file.name;
  stage.style.setProperty("--ratio", "1.3333");
  clearMap();
}

function clearMap() {
  loading?.abort();
  newPicture();
  setTouched(null);
  showMap(null, 1);
  stage.removeAttribute("data-ready");
  note.textContent = "";
  again.hidden = true;
}

/**
 * What the picture shows, for who does not see it.
 * @param {string} words
 */
export function describePicture(words) {
  preview.alt = words ? `The picture you chose. ${words}` : "The picture you chose";
}

/**
 * @param {PictureMap} map
 */
export async function useMap(map) {
  again.hidden = true;
  showMap(map, preview.naturalWidth / preview.naturalHeight || 1);
  await touchable(map, shares(map));
}

/**
 * There is no map; the picture as a whole still sounds.
 * @param {unknown} error
 * @param {Answer} answer
 */
export async function useWhole(error, answer) {
  const { title, detail, ways } = troubleOf(error);
  const told = error instanceof Problem && error.status === 422 ? sentence(error.detail) : `${title}. ${detail}`;
  again.hidden = !ways.includes("retry");
  await touchable(mapOfWhole(answer), `Its places are not told apart: ${told}`);
}

/**
 * @param {PictureMap} map
 * @param {string} words
 */
async function touchable(map, words) {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  setTouched(map);
  note.textContent = `Getting its sounds ready… ${words}`;
  const { ready, failed, away } = await loadClips(soundsByUse(map), signal);
  if (signal.aborted) return;
  stage.toggleAttribute("data-ready", ready > 0);
  const of = `${failed} of its sounds`;
  const lost = away ? ` ${of} could not be had: ${inWords(away)}` : failed ? ` ${of} cannot be played here.` : "";
  if (away) again.hidden = false;
  note.textContent = `${ready ? "Touch the picture to hear it." : "The picture has no sounds."} ${words}${lost}`;
}

/**
 * @param {PictureMap} map
 */
function shares({ materials }) {
  const named = (materials ?? []).slice(0, MOST_NAMED).map(({ name, share }) => `${name} ${shareWords(share)}`);
  return named.length ? sentence(listed(named)) : "";
}
