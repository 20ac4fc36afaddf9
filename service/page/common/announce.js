// What a screen reader says without being asked.

import { find } from "./dom.js";

const status = find("#status", HTMLElement);

/**
 * @param {string} text
 */
export function announce(text) {
  // The same words twice are two events only if something changes.
  status.textContent = status.textContent === text ? `${text}\u00a0` : text;
}
