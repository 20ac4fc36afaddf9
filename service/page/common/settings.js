// What a person has set, kept in this browser as far as it can be kept.

import { announce } from "./announce.js";
import { find } from "./dom.js";
import { setKey } from "./key.js";

const STORED = "thud.settings";
const NOT_KEPT = "This browser keeps no settings; they last until you close the page.";

/** @typedef {"keys" | "hover" | "move" | "level" | "scale"} Setting */

/** @type {Record<Setting, boolean>} */
const values = { keys: true, hover: false, move: true, level: true, scale: true };

const dialog = find("#settings", HTMLDialogElement);
const note = find("#settings-note", HTMLElement);

/** @type {((name: Setting, on: boolean) => void)[]} */
const listeners = [];

/**
 * Whether the setting is on.
 * @param {Setting} name
 */
export function setting(name) {
  return values[name];
}

/**
 * @param {(name: Setting, on: boolean) => void} listener
 */
export function onSetting(listener) {
  listeners.push(listener);
}

/**
 * @param {Setting} name
 * @param {boolean} on
 */
export function set(name, on) {
  values[name] = on;
  const box = dialog.querySelector(`input[name="${name}"]`);
  if (box instanceof HTMLInputElement) box.checked = on;
  try {
    localStorage.setItem(STORED, JSON.stringify(values));
    note.textContent = "";
  } catch {
    // Storage can be forbidden or full.
    note.textContent = NOT_KEPT;
    announce(NOT_KEPT);
  }
  for (const listener of listeners) listener(name, on);
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORED) ?? "{}");
    for (const name of /** @type {Setting[]} */ (Object.keys(values))) {
      if (typeof kept?.[name] === "boolean") values[name] = kept[name];
    }
  } catch {
    // What cannot be read is as if nothing had been set.
  }
}

export function startSettings() {
  read();
  for (const box of dialog.querySelectorAll("input[type=checkbox]")) {
    if (!(box instanceof HTMLInputElement)) continue;
    const name = /** @type {Setting} */ (box.name);
    box.checked = values[name];
    box.addEventListener("change", () => set(name, box.checked));
  }
  const key = find("#settings-key", HTMLInputElement);
  key.addEventListener("change", () => setKey(key.value));
  find("#open-settings", HTMLButtonElement).addEventListener("click", () => dialog.showModal());
}
