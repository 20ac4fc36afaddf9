// Touching the picture: with the mouse, a finger, a pen or the arrow keys.

/** @import { PictureMap } from "../api/api.js" */

import { announce } from "../common/announce.js";
import { find } from "../common/dom.js";
import { setting } from "../common/settings.js";
import { percent } from "../common/words.js";
import { wake } from "../sound/audio.js";
import { scratch, strike } from "../sound/instrument.js";
import { stop } from "../sound/player.js";
import { hideMark, ripple, showMark } from "./overlay.js";
import { materialAt, placeAt, placeBeside, placeWords } from "./places.js";

const STEP = 0.018; // a stroke sounds again after this much of the picture's width,
const SHORTEST_GAP = 26; // and not before so many milliseconds
const FAST = 2.5; // widths a second at which a stroke is loudest
const SOFT = 0.3; // how strongly a mouse touches that only moves over the picture
const HARD = 0.9;

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const stage = find("#stage", HTMLElement);

/** @type {PictureMap | null} */
let map = null;
let here = 0; // the place that is touched, or was last
/** @type {{ x: number, y: number, time: number } | null} Where the stroke sounded last. */
let last = null;

/**
 * @param {PictureMap | null} touched
 */
export function setTouched(touched) {
  map = touched;
  here = touched ? placeAt(touched, 0.5, 0.5) : 0;
  last = null;
}

export function startTouch() {
  stage.addEventListener("pointerdown", (event) => {
    if (!map || event.button !== 0) return;
    stop();
    stage.setPointerCapture(event.pointerId);
    const { x, y } = pointOf(event);
    here = placeAt(map, x, y);
    last = { x, y, time: event.timeStamp };
    hit(x, y);
  });

  stage.addEventListener("pointermove", (event) => {
    if (!map) return;
    const { x, y } = pointOf(event);
    const before = here;
    if (event.buttons & 1) stroke(x, y, event.timeStamp);
    else if (event.pointerType === "mouse" && setting("move")) {
      here = placeAt(map, x, y);
      showMark(x, y, readout());
      if (here !== before) scratch(map, here, SOFT);
    }
  });

  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, () => {
      last = null;
    });
  }
  stage.addEventListener("pointerleave", () => {
    if (!last) hideMark();
  });
  // A long press or a drag would take the picture away from the finger.
  for (const kind of ["contextmenu", "dragstart"]) stage.addEventListener(kind, (event) => event.preventDefault());

  stage.addEventListener("keydown", touchByKey);
  stage.addEventListener("focus", () => {
    const place = map?.places[here];
    if (place && stage.matches(":focus-visible")) showMark(place.x, place.y, readout());
  });
  stage.addEventListener("blur", hideMark);
}

/**
 * @param {KeyboardEvent} event
 */
function touchByKey(event) {
  if (!map || event.ctrlKey || event.altKey || event.metaKey) return;
  const arrow = ARROWS[event.key];
  if (!arrow && event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  event.stopPropagation();
  stop();
  if (arrow) here = placeBeside(map, here, ...arrow);
  const place = map.places[here];
  if (!place) return;
  if (!arrow) {
    hit(place.x, place.y);
    return;
  }
  wake();
  const sounded = scratch(map, here, event.shiftKey ? HARD : SOFT);
  showMark(place.x, place.y, readout());
  const row = Math.floor(here / map.columns) + 1;
  const where = `row ${row}, column ${(here % map.columns) + 1}`;
  announce(`${placeWords(map, here)}${event.shiftKey ? ", scratch" : ""}${sounded ? "" : ", no sound"}; ${where}`);
}

/**
 * @param {number} x
 * @param {number} y
 */
function hit(x, y) {
  if (!map) return;
  const sounded = strike(map, here, HARD);
  showMark(x, y, readout());
  ripple();
  announce(`${placeWords(map, here)}, ${sounded ? "hit" : "no sound"}`);
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} time
 */
function stroke(x, y, time) {
  if (!map || !last) return;
  showMark(x, y, readout());
  const distance = Math.hypot(x - last.x, (y - last.y) * (stage.clientHeight / stage.clientWidth));
  const passed = time - last.time;
  if (distance < STEP || passed < SHORTEST_GAP) return;
  const speed = (1000 * distance) / passed; // widths a second
  here = placeAt(map, x, y);
  last = { x, y, time };
  scratch(map, here, 0.2 + 0.8 * Math.min(1, speed / FAST));
}

function readout() {
  const place = map?.places[here];
  const material = place && materialAt(place);
  if (material) return `${material.name} ${percent(material.probability)}`;
  return place?.recognised === false ? "nothing clear" : "";
}

/**
 * Where the pointer is, in fractions of the picture.
 * @param {PointerEvent} event
 */
function pointOf(event) {
  const box = stage.getBoundingClientRect();
  /** @param {number} part */
  const within = (part) => Math.min(1, Math.max(0, part));
  return { x: within((event.clientX - box.left) / box.width), y: within((event.clientY - box.top) / box.height) };
}
