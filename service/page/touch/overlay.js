// Colours over the picture that show what is where, their legend, and the mark of what is touched.

/** @import { PictureMap } from "../api/api.js" */

import { colourOf, rgbOf } from "../common/colours.js";
import { element, find } from "../common/dom.js";
import { shareWords } from "../common/words.js";
import { materialAt } from "./places.js";

const PIXELS = 160; // of the longer side; the browser smooths between them
const [FAINTEST, STRONGEST] = [40, 150]; // how much of a colour covers the picture, out of 255
const LEAST_NAMED = 0.02; // a smaller share of the picture has its colour, and no name on it

const canvas = find("#overlay", HTMLCanvasElement);
const labels = find("#labels", HTMLElement);
const legend = find("#legend", HTMLElement);
const toggle = find("#toggle-overlay", HTMLButtonElement);
const mark = find("#mark", HTMLElement);

/** @type {PictureMap | null} */
let map = null;
let ratio = 1;
/** @type {string | null} The material that alone is shown. */
let only = null;

/**
 * @param {PictureMap | null} shown
 * @param {number} widthToHeight
 */
export function showMap(shown, widthToHeight) {
  map = shown;
  ratio = widthToHeight;
  only = null;
  mark.hidden = true;
  const materials = shown?.materials ?? [];
  toggle.hidden = !materials.length;
  legend.replaceChildren(...materials.map(legendItem));
  draw();
}

export function startOverlay() {
  toggle.addEventListener("click", () => {
    toggle.setAttribute("aria-pressed", String(!isOn()));
    draw();
  });
}

function isOn() {
  return toggle.getAttribute("aria-pressed") === "true";
}

/**
 * @param {{ name: string, share: number }} material
 */
function legendItem({ name, share }) {
  const item = element("li");
  const button = element("button", "chip");
  button.type = "button";
  const swatch = element("span", "swatch");
  swatch.style.setProperty("--colour", colourOf(name));
  button.append(swatch, ` ${name} ${shareWords(share)}`);
  button.setAttribute("aria-pressed", "false");
  button.title = `Show where ${name} is`;
  button.addEventListener("click", () => {
    only = only === name ? null : name;
    for (const other of legend.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(only === name));
    draw();
  });
  item.append(button);
  return item;
}

function draw() {
  const shown = map && (isOn() || only);
  canvas.hidden = !shown;
  labels.replaceChildren();
  const context = canvas.getContext("2d");
  if (!map || !shown || !context) return;
  canvas.width = Math.round(PIXELS * Math.min(1, ratio));
  canvas.height = Math.round(PIXELS * Math.min(1, 1 / ratio));
  const image = context.createImageData(canvas.width, canvas.height);
  const likely = new Likelihoods(map);
  /** @type {Map<string, { x: number, y: number, weight: number }>} */
  const middles = new Map();
  for (let row = 0; row < canvas.height; row++) {
    for (let column = 0; column < canvas.width; column++) {
      const [x, y] = [(column + 0.5) / canvas.width, (row + 0.5) / canvas.height];
      const { name, lead } = likely.at(x, y);
      if (!name || (only && name !== only)) continue;
      image.data.set([...rgbOf(name), FAINTEST + (STRONGEST - FAINTEST) * lead], 4 * (row * canvas.width + column));
      const middle = middles.get(name) ?? { x: 0, y: 0, weight: 0 };
      middles.set(name, { x: middle.x + x, y: middle.y + y, weight: middle.weight + 1 });
    }
  }
  context.putImageData(image, 0, 0);
  for (const [name, { x, y, weight }] of middles) {
    if (only || weight >= LEAST_NAMED * canvas.width * canvas.height) label(name, x / weight, y / weight, likely);
  }
}

/**
 * The name of a material at the place of it that is nearest to the middle of all its places.
 * @param {string} name
 * @param {number} x
 * @param {number} y
 * @param {Likelihoods} likely
 */
function label(name, x, y, likely) {
  const nearest = likely.places
    .filter((place) => materialAt(place)?.name === name)
    .sort((one, other) => (one.x - x) ** 2 + (one.y - y) ** 2 - (other.x - x) ** 2 - (other.y - y) ** 2)[0];
  if (!nearest) return;
  const text = element("span", "", name);
  text.style.setProperty("--x", String(nearest.x));
  text.style.setProperty("--y", String(nearest.y));
  labels.append(text);
}

/** Between the centres of the places, how likely each material is goes over from one to the next. */
class Likelihoods {
  /**
   * @param {PictureMap} map
   */
  constructor(map) {
    this.places = map.places;
    this.columns = map.columns;
    this.rows = map.rows;
    this.xs = map.places.slice(0, map.columns).map(({ x }) => x);
    this.ys = Array.from({ length: map.rows }, (_, row) => map.places[row * map.columns]?.y ?? 0);
  }

  /**
   * The likeliest material at a point, "" where none is clear, and how clearly it leads, 0 to 1.
   * @param {number} x
   * @param {number} y
   */
  at(x, y) {
    const [left, right, across] = between(this.xs, x);
    const [top, bottom, down] = between(this.ys, y);
    /** @type {Map<string, number>} */
    const sums = new Map();
    for (const [row, column, weight] of [
      [top, left, (1 - down) * (1 - across)],
      [top, right, (1 - down) * across],
      [bottom, left, down * (1 - across)],
      [bottom, right, down * across],
    ]) {
      const place = this.places[(row ?? 0) * this.columns + (column ?? 0)];
      const unclear = !place || !materialAt(place);
      for (const { name, probability } of unclear ? [{ name: "", probability: 0.5 }] : (place.materials ?? [])) {
        sums.set(name, (sums.get(name) ?? 0) + (weight ?? 0) * probability);
      }
    }
    const [first, second] = [...sums].sort(([, one], [, other]) => other - one);
    if (!first) return { name: "", lead: 0 };
    return { name: first[0], lead: Math.min(1, (2 * (first[1] - (second?.[1] ?? 0))) / first[1]) };
  }
}

/**
 * The two of the rising numbers between which this one is, by their positions, and how far it is between them.
 * @param {number[]} rising
 * @param {number} number
 * @returns {[number, number, number]}
 */
function between(rising, number) {
  const after = rising.findIndex((one) => one > number);
  if (after === 0) return [0, 0, 0];
  if (after < 0) return [rising.length - 1, rising.length - 1, 0];
  const [low = 0, high = 1] = rising.slice(after - 1, after + 1);
  return [after - 1, after, (number - low) / (high - low)];
}

/**
 * Show where the picture is touched, in fractions of it.
 * @param {number} x
 * @param {number} y
 * @param {string} text
 */
export function showMark(x, y, text) {
  mark.hidden = false;
  mark.style.setProperty("--x", String(x));
  mark.style.setProperty("--y", String(y));
  mark.dataset.side = x > 0.5 ? "left" : "right";
  mark.dataset.text = text;
}

export function hideMark() {
  mark.hidden = true;
}

/** A ring that spreads where the picture was struck. */
export function ripple() {
  mark.classList.remove("struck");
  void mark.offsetWidth; // so that the animation begins anew
  mark.classList.add("struck");
}
