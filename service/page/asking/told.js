// What the person has told: which material it is, what to have more or less of, which filters hold.

/** @import { Answer, LikelyMaterial } from "../api/api.js" */
/** @import { Question } from "./question.js" */

import { colourOf } from "../common/colours.js";
import { copyOf, element, find } from "../common/dom.js";
import { percent, spoken } from "../common/words.js";
import { filterWords } from "./filter_form.js";
import { filterParameters, withLiked, withShown } from "./question.js";

const MOST_SHOWN = 5;
const LEAST_SHOWN = 0.05; // a material that is less likely says nothing to a person

const chips = find("#likeliest", HTMLElement);
const other = find("#other-material", HTMLSelectElement);
const told = find("#told", HTMLElement);

/** @type {(question: Question) => void} */
let ask;
/** @type {Question} */
let question;

/**
 * @param {(question: Question) => void} change
 */
export function startTold(change) {
  ask = change;
  other.addEventListener("change", () => {
    if (other.value) ask(withShown(question, other.value));
    other.value = "";
  });
}

/**
 * What is worth saying of the materials.
 * @param {Answer | null} answer
 * @returns {LikelyMaterial[]}
 */
export function likelyIn(answer) {
  return (answer?.materials ?? []).filter((one) => one.probability >= LEAST_SHOWN).slice(0, MOST_SHOWN);
}

/**
 * @param {Question} current
 * @param {Answer | null} untold the answer before anything was told
 */
export function showTold(current, untold) {
  question = current;
  const likely = likelyIn(untold);
  const named = new Set(likely.map(({ name }) => name));
  const added = current.shows.filter((name) => !named.has(name));
  chips.replaceChildren(
    ...likely.map(({ name, probability }) => chipOf(name, probability)),
    ...added.map((name) => chipOf(name, null)),
  );
  const rest = (untold?.materials ?? []).map(({ name }) => name).filter((name) => !named.has(name));
  other.replaceChildren(new Option("Something else…", ""));
  other.append(...rest.sort().map((name) => new Option(name, name)));
  other.hidden = !rest.length;
  showCarried();
}

/**
 * @param {string} name
 * @param {number | null} probability
 */
function chipOf(name, probability) {
  const chip = copyOf("likely");
  const button = find("button", HTMLButtonElement, chip);
  const said = question.shows.includes(name);
  button.dataset.material = name;
  find(".swatch", HTMLElement, chip).style.setProperty("--colour", colourOf(name));
  find(".name", HTMLElement, chip).textContent = name;
  const bar = find(".bar", HTMLElement, chip);
  if (probability === null) bar.hidden = true;
  else bar.style.setProperty("--share", String(probability));
  find(".percent", HTMLElement, chip).textContent = probability === null ? "" : percent(probability);
  const likely = probability === null ? "" : `, ${spoken(percent(probability))}`;
  button.setAttribute("aria-label", `This is ${name}${likely}`);
  button.setAttribute("aria-pressed", String(said));
  button.title = said ? `You said that this is ${name}` : `Say that this is ${name}`;
  button.addEventListener("click", () => ask(withShown(question, name)));
  return chip;
}

/** What is carried into the answer, each with a way to take it back. */
function showCarried() {
  /** @type {[string, Question][]} */
  const carried = [
    ...question.more.map((sound) => pair(`more like ${sound.title}`, withLiked(question, "more", sound))),
    ...question.less.map((sound) => pair(`less like ${sound.title}`, withLiked(question, "less", sound))),
    ...filterParameters(question.filter).map(([name, value]) =>
      pair(filterWords(name, value), { ...question, filter: { ...question.filter, [name]: "" } }),
    ),
    ...(question.diversity ? [pair(`variety ${question.diversity}`, { ...question, diversity: "" })] : []),
  ];
  told.replaceChildren(...carried.map(([words, without]) => carriedItem(words, without)));
  told.hidden = !carried.length;
}

/**
 * @param {string} words
 * @param {Question} without
 * @returns {[string, Question]}
 */
function pair(words, without) {
  return [words, without];
}

/**
 * @param {string} words
 * @param {Question} without
 */
function carriedItem(words, without) {
  const item = element("li");
  const button = element("button", "chip carried", words);
  button.type = "button";
  button.setAttribute("aria-label", `Take back: ${words}`);
  button.title = "Take it back";
  button.addEventListener("click", () => ask(without));
  item.append(button);
  return item;
}
