// Single keys: they get in the way of speech input, so they can be turned off, and stay off.

/** @import { SoundList } from "./results/sound_list.js" */

import { currentAnswer } from "./asking/asking.js";
import { find, isWriting } from "./common/dom.js";
import { setting } from "./common/settings.js";
import { rowAround } from "./results/row.js";
import { playAll, stop, toggle } from "./sound/player.js";
import { playBest, takeBack } from "./views/answer_view.js";

/**
 * @param {() => SoundList} list the one that is shown
 * @param {() => void} toSearch
 */
export function startKeys(list, toSearch) {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") stop();
    if (event.ctrlKey || event.metaKey) {
      if (event.key === "z" && !isWriting(event.target)) takeBack();
      return;
    }
    if (!setting("keys") || isWriting(event.target)) return;
    const shown = list();
    if (/^[0-9]$/.test(event.key)) {
      const row = shown.rows()[event.key === "0" ? 9 : Number(event.key) - 1];
      const at = rowAround(row);
      if (!at?.row.checkVisibility()) return;
      at.row.scrollIntoView({ block: "nearest" });
      toggle(at.sound);
      return;
    }
    switch (event.key) {
      case "b":
        if (currentAnswer()) playBest();
        else playAll(shown.strong.slice(0, 10));
        break;
      case "l":
        press("#loop");
        break;
      case "t":
        focus("#stage");
        break;
      case "m":
        focus("#likeliest button");
        break;
      case "o":
        press("#toggle-overlay");
        break;
      case "u":
        takeBack();
        break;
      case "/":
        event.preventDefault();
        toSearch();
        break;
      case "?":
        press("#open-settings");
        break;
    }
  });
}

/** @param {string} selector */
function press(selector) {
  const button = find(selector, HTMLButtonElement);
  if (button.checkVisibility()) button.click();
}

/** @param {string} selector */
function focus(selector) {
  const found = document.querySelector(selector);
  if (found instanceof HTMLElement && found.checkVisibility()) found.focus();
}
