// The library without a picture: by words, by filters, and one sound with those like it.

/** @import { SoundPage } from "../api/api.js" */
/** @import { Filter } from "../asking/question.js" */
/** @import { Where } from "../common/links.js" */

import { getJson, Problem } from "../api/api.js";
import { inWords } from "../api/problems.js";
import { filterForm } from "../asking/filter_form.js";
import { filterParameters, noFilter } from "../asking/question.js";
import { announce } from "../common/announce.js";
import { find } from "../common/dom.js";
import { setKey } from "../common/key.js";
import { hashOf } from "../common/links.js";
import { count } from "../common/words.js";
import { showChosen } from "../results/chosen.js";
import { followPlayer, startRowActions } from "../results/row_actions.js";
import { soundList } from "../results/sound_list.js";
import { soundOfRecord, soundOfResult } from "../sound/sound.js";

/** @import { Sound } from "../sound/sound.js" */

const PAGE = 20;
const HOW = { grouped: false, folding: false };

const view = find("#library", HTMLElement);
const form = find("#search", HTMLFormElement);
const field = find("#words", HTMLInputElement);
const heading = find("#library-title", HTMLElement);
const trouble = find("#library-trouble", HTMLElement);
const keyForm = find("#library-key-form", HTMLFormElement);
const more = find("#library-more", HTMLButtonElement);
const place = find("#library-sounds", HTMLElement);

export const libraryList = soundList(place);

let filter = noFilter();
/** @type {string | null} Where the list goes on. */
let next = null;
/** @type {AbortController | null} */
let asking = null;
/** @type {() => void} What failed last. */
let again = () => {};

const filters = filterForm(find("#library-filters", HTMLDetailsElement, view), (changed) => {
  filter = changed;
  search(field.value);
});

export function startLibraryView() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = hashOf({ view: "library", words: field.value.trim() });
    if (location.hash === wanted) search(field.value);
    else location.hash = wanted;
  });
  more.addEventListener("click", goOn);
  keyForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = find("input", HTMLInputElement, keyForm);
    setKey(key.value);
    key.value = "";
    again();
  });
  find("#library-retry", HTMLButtonElement).addEventListener("click", () => again());
  startRowActions(place, (_, sound) => {
    location.hash = hashOf({ view: "sound", id: sound.id });
  });
  followPlayer(place);
}

/** @param {Exclude<Where, { view: "picture" }>} where */
export function showLibrary(where) {
  form.hidden = where.view === "sound";
  find("#library-filters", HTMLDetailsElement, view).hidden = where.view === "sound";
  if (where.view === "sound") showSound(where.id);
  else {
    field.value = where.words;
    search(where.words);
  }
}

export function focusSearch() {
  field.focus();
  field.select();
}

/** @param {string} words */
function search(words) {
  filters.show(/** @type {Filter} */ (filter));
  const asked = new URLSearchParams([...filterParameters(filter), ["limit", String(PAGE)]]);
  if (words.trim()) asked.set("q", words.trim());
  fill(async (signal) => {
    /** @type {SoundPage} */
    const page = await getJson(`sounds?${asked}`, signal);
    next = page.next;
    const about = words.trim() ? ` with “${words.trim()}”` : "";
    return { sounds: page.sounds.map(soundOfRecord), title: `${count(page.total, "sound")}${about}` };
  });
}

/** @param {string} id */
function showSound(id) {
  fill(async (signal) => {
    const record = await getJson(`sounds/${id}/info`, signal);
    const { results } = await getJson(`sounds/${id}/similar?k=${PAGE}`, signal);
    next = null;
    const sounds = [soundOfRecord(record), ...results.map(soundOfResult)];
    return { sounds, title: `${record.title}, and sounds like it` };
  });
}

/** @param {(signal: AbortSignal) => Promise<{ sounds: Sound[], title: string }>} load */
async function fill(load) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  again = () => fill(load);
  view.setAttribute("aria-busy", "true");
  try {
    const { sounds, title } = await load(signal);
    libraryList.show(sounds, HOW);
    heading.textContent = title;
    announce(title);
    tellTrouble(null);
    showChosen();
  } catch (error) {
    if (signal.aborted) return;
    tellTrouble(error);
  }
  more.hidden = !next;
  more.disabled = false;
  view.removeAttribute("aria-busy");
}

async function goOn() {
  if (!next) return;
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const before = libraryList.sounds;
  more.disabled = true;
  again = goOn;
  try {
    /** @type {SoundPage} */
    const page = await getJson(next, signal);
    next = page.next;
    libraryList.show([...before, ...page.sounds.map(soundOfRecord)], HOW);
    libraryList.focus(before.length);
    tellTrouble(null);
    showChosen();
  } catch (error) {
    if (signal.aborted) return;
    tellTrouble(error);
  }
  more.hidden = !next;
  more.disabled = false;
}

/**
 * What went wrong, near to the list, which stays.
 * @param {unknown} error
 */
function tellTrouble(error) {
  trouble.hidden = error === null;
  if (error === null) return;
  const words =
    error instanceof Problem && error.status === 404 ? "The library has no such sound any more." : inWords(error);
  find("p", HTMLElement, trouble).textContent = words;
  keyForm.hidden = !(error instanceof Problem && error.status === 401);
  announce(words);
}
