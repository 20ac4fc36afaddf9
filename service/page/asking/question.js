// What is asked about the picture, and how it is said to the service.

/** @import { Sound } from "../sound/sound.js" */

/**
 * Conditions that sounds must meet; texts and numbers as they are written, "" for none.
 * @typedef {{ material: string, action: string, licence: string, tag: string, min_duration: string,
 *   max_duration: string }} Filter
 */

/**
 * `shows`: what the person says the picture shows. `diversity`: "" for the service's own.
 * @typedef {{ shows: string[], more: Sound[], less: Sound[], filter: Filter, diversity: string }} Question
 */

/** @returns {Filter} */
export function noFilter() {
  return { material: "", action: "", licence: "", tag: "", min_duration: "", max_duration: "" };
}

/**
 * The question for a new picture: the filters of the last one hold on.
 * @param {Question} [before]
 * @returns {Question}
 */
export function newQuestion(before) {
  return {
    shows: [],
    more: [],
    less: [],
    filter: before?.filter ?? noFilter(),
    diversity: before?.diversity ?? "",
  };
}

/**
 * The parameters of a filter.
 * @param {Filter} filter
 * @returns {[string, string][]}
 */
export function filterParameters(filter) {
  return Object.entries(filter).filter(([, value]) => value !== "");
}

/**
 * @param {Question} question
 */
export function parametersOf({ shows, more, less, filter, diversity }) {
  const asked = new URLSearchParams(filterParameters(filter));
  if (diversity) asked.set("diversity", diversity);
  for (const name of shows) asked.append("shows", name);
  for (const { id } of more) asked.append("more", id);
  for (const { id } of less) asked.append("less", id);
  return asked;
}

/**
 * The question with the material said, or no longer said.
 * @param {Question} question
 * @param {string} name
 * @returns {Question}
 */
export function withShown(question, name) {
  const shows = question.shows.includes(name)
    ? question.shows.filter((one) => one !== name)
    : [...question.shows, name];
  return { ...question, shows };
}

/**
 * The question with more or less like the sound; saying the same again takes it back.
 * @param {Question} question
 * @param {"more" | "less"} way
 * @param {Sound} sound
 * @returns {Question}
 */
export function withLiked(question, way, sound) {
  /** @param {Sound[]} sounds */
  const without = (sounds) => sounds.filter(({ id }) => id !== sound.id);
  const said = question[way].some(({ id }) => id === sound.id);
  const changed = { ...question, more: without(question.more), less: without(question.less) };
  return said ? changed : { ...changed, [way]: [...changed[way], sound] };
}
