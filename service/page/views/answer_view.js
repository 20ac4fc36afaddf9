// The view of a picture and its sounds.

/** @import { Answered } from "../asking/asking.js" */

import { inWords, troubleOf } from "../api/problems.js";
import * as asking from "../asking/asking.js";
import { filterForm } from "../asking/filter_form.js";
import { withLiked } from "../asking/question.js";
import { likelyIn, showTold, startTold } from "../asking/told.js";
import { announce } from "../common/announce.js";
import { find } from "../common/dom.js";
import { focusAgain, focused } from "../common/focus.js";
import { setKey } from "../common/key.js";
import { set } from "../common/settings.js";
import { count, percent, spoken } from "../common/words.js";
import { showChosen } from "../results/chosen.js";
import { showLiked } from "../results/row.js";
import { followPlayer, startRowActions } from "../results/row_actions.js";
import { inGroups, soundList } from "../results/sound_list.js";
import { playAll, setLoop, stop } from "../sound/player.js";
import { described } from "../sound/sound.js";
import { describePicture, showPicture, startTouchView, useMap, useWhole } from "../touch/touch_view.js";

const UNRECOGNISED = "No material was recognised in this picture; these are the nearest sounds all the same.";
const NONE_LEFT = "No sound of the library meets the filters.";

const main = find("#main", HTMLElement);
const chooser = find("#chooser", HTMLElement);
const view = find("#answer", HTMLElement);
const heading = find("#answer-title", HTMLElement);
const note = find("#answer-note", HTMLElement);
const progress = find("#progress", HTMLProgressElement);
const problem = find("#problem", HTMLElement);
const change = find("#change-trouble", HTMLElement);
const more = find("#more", HTMLButtonElement);
const moreTrouble = find("#more-trouble", HTMLElement);
const grouping = find("#group", HTMLButtonElement);
const playButton = find("#play-best", HTMLButtonElement);
const undo = find("#undo", HTMLButtonElement);
const place = find("#sounds", HTMLElement);
const filters = filterForm(find("#answer-filters", HTMLDetailsElement, view), (filter, diversity) =>
  asking.change({ ...asking.currentQuestion(), filter, diversity }),
);

export const list = soundList(place);
let grouped = false;

/** @param {"empty" | "loading" | "results" | "error"} state */
function setState(state) {
  main.dataset.state = state;
  chooser.hidden = state !== "empty";
  view.hidden = state === "empty";
  problem.hidden = state !== "error";
  for (const part of view.querySelectorAll(".with-results")) part.toggleAttribute("hidden", state !== "results");
}

export function startAnswerView() {
  asking.startAsking({ began, sent, waiting, answered, failed, continued, notContinued, mapped, notMapped });
  startTold(asking.change);
  startTouchView(asking.askForMap);
  startRowActions(place, (way, sound) => asking.change(withLiked(asking.currentQuestion(), way, sound)));
  followPlayer(place);
  for (const button of view.querySelectorAll(".another")) button.addEventListener("click", startOver);
  for (const button of view.querySelectorAll(".retry")) button.addEventListener("click", () => asking.retry());
  find("#scale-down", HTMLButtonElement).addEventListener("click", () => {
    set("scale", true);
    asking.retry();
  });
  find("#key-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const field = find("#key", HTMLInputElement);
    setKey(field.value);
    field.value = "";
    asking.retry();
  });
  find("#cancel", HTMLButtonElement).addEventListener("click", startOver);
  more.addEventListener("click", () => {
    more.disabled = true;
    asking.askForMore();
  });
  undo.addEventListener("click", takeBack);
  grouping.addEventListener("click", () => {
    grouped = grouping.getAttribute("aria-pressed") !== "true";
    grouping.setAttribute("aria-pressed", String(grouped));
    showSounds();
  });
  playButton.addEventListener("click", playBest);
  const loop = find("#loop", HTMLButtonElement);
  loop.addEventListener("click", () => {
    const on = loop.getAttribute("aria-pressed") !== "true";
    loop.setAttribute("aria-pressed", String(on));
    setLoop(on);
  });
}

/** @param {File} file */
export function usePicture(file) {
  stop();
  showPicture(file);
  list.show([], { grouped: false, folding: false });
  grouped = false;
  asking.askAbout(file);
}

export function startOver() {
  asking.forget();
  stop();
  setState("empty");
  announce("");
  find("#file", HTMLInputElement).focus();
}

export function playBest() {
  playAll(list.strong.slice(0, 10));
}

export function takeBack() {
  if (!asking.canUndo()) return;
  asking.undo();
}

// What becomes of a question

/** @param {boolean} first */
function began(first) {
  change.hidden = true;
  more.disabled = true; // what would go on is not what is asked for now
  view.setAttribute("aria-busy", "true");
  if (!first) {
    note.textContent = "Asking again…";
    return;
  }
  setState("loading");
  heading.textContent = "Listening to your picture…";
  note.textContent = "";
  progress.hidden = true;
  heading.focus();
}

/** @param {number} share */
function sent(share) {
  if (main.dataset.state !== "loading") return;
  progress.hidden = share >= 1;
  progress.value = share;
  note.textContent = share < 1 ? `${percent(share)} sent` : "";
}

/** @param {unknown} busy */
function waiting(busy) {
  const { retryAfter } = /** @type {import("../api/api.js").Problem} */ (busy);
  note.textContent = `${troubleOf(busy).title}. Trying again in ${retryAfter} s.`;
  announce(note.textContent);
}

/**
 * @param {Answered} it
 * @param {boolean} first
 */
function answered({ question, answer, sounds }, first) {
  const stood = focused();
  view.removeAttribute("aria-busy");
  setState("results");
  const several = inGroups(sounds).length > 1;
  if (first) grouped = false;
  grouping.hidden = !several;
  grouping.setAttribute("aria-pressed", String(grouped && several));
  showSounds();
  showTold(question, asking.untoldAnswer());
  filters.show(question.filter, question.diversity);
  undo.hidden = !asking.canUndo();
  more.disabled = false;
  playButton.disabled = !sounds.length;
  const seen = showSeen();
  heading.textContent = count(sounds.length, "sound");
  note.textContent = sounds.length ? `Best first, out of ${answer.library.toLocaleString("en")}.` : NONE_LEFT;
  if (!sounds.length) note.scrollIntoView({ block: "nearest" }); // who sets filters looks further down
  if (first) heading.focus();
  else focusAgain(stood, heading);
  const best = list.sounds[0];
  const found = best ? `${heading.textContent} found. The best is ${described(best)}.` : NONE_LEFT;
  announce(first && seen ? `${seen} ${found}` : found);
}

function showSounds() {
  const standing = asking.currentAnswer();
  if (!standing) return;
  list.show(standing.sounds, { grouped, folding: standing.answer.recognised !== false });
  more.hidden = !standing.answer.next;
  moreTrouble.textContent = "";
  const { more: liked, less } = standing.question;
  for (const row of list.rows()) {
    const isIn = (/** @type {{ id: string }[]} */ sounds) => sounds.some(({ id }) => id === row.dataset.id);
    showLiked(row, isIn(liked) ? "more" : isIn(less) ? "less" : null);
  }
  showChosen();
}

/** Says what is in the picture, and returns the same in a sentence; it is empty where nothing is known. */
function showSeen() {
  const answer = asking.untoldAnswer();
  const likely = likelyIn(answer);
  const unrecognised = answer?.recognised === false;
  find("#unrecognised", HTMLElement).hidden = !unrecognised;
  const seen = (answer?.objects ?? []).map((one) => `${one.name} ${percent(one.probability)}`).join(", ");
  const objects = find("#objects", HTMLElement);
  objects.textContent = seen ? `Objects: ${seen}.` : "";
  objects.hidden = !seen;
  find("#materials", HTMLElement).hidden = !answer?.materials && !seen;
  const said = likely.map((one) => `${one.name} ${percent(one.probability)}`).join(", ");
  const materials = unrecognised ? UNRECOGNISED : said && `In the picture: ${said}.`;
  const all = [materials, objects.textContent].filter(Boolean).map(spoken).join(" ");
  describePicture(all);
  return all;
}

/**
 * @param {unknown} error
 * @param {boolean} first
 */
function failed(error, first) {
  more.disabled = false;
  view.removeAttribute("aria-busy");
  if (!first) {
    // What stood before stays.
    const standing = asking.currentAnswer();
    note.textContent = standing ? `Best first, out of ${standing.answer.library.toLocaleString("en")}.` : "";
    find("#change-detail", HTMLElement).textContent = inWords(error);
    change.hidden = false;
    announce(inWords(error));
    return;
  }
  const { title, detail, ways } = troubleOf(error);
  setState("error");
  heading.textContent = title;
  note.textContent = "";
  find("#problem-detail", HTMLElement).textContent = detail;
  for (const way of problem.querySelectorAll("[data-way]")) {
    way.toggleAttribute("hidden", !ways.some((one) => way instanceof HTMLElement && way.dataset.way === one));
  }
  announce(`${title}. ${detail}`);
  if (ways.includes("key")) find("#key", HTMLInputElement).focus();
  else heading.focus();
}

/**
 * @param {Answered} it
 * @param {number} before
 */
function continued({ sounds }, before) {
  more.disabled = false;
  showSounds();
  heading.textContent = count(sounds.length, "sound");
  const first = sounds[before];
  const row = list.rows().findIndex((one) => one.dataset.id === first?.id);
  if (row >= 0) list.focus(row);
  announce(`${heading.textContent} found.`);
}

/** @param {unknown} error */
function notContinued(error) {
  more.disabled = false;
  moreTrouble.textContent = inWords(error);
  announce(inWords(error));
}

/** @param {import("../api/api.js").PictureMap} map */
function mapped(map) {
  useMap(map);
}

/** @param {unknown} error */
function notMapped(error) {
  const answer = asking.untoldAnswer();
  if (answer) useWhole(error, answer);
}
