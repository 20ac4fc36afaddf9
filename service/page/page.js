// Begins: puts the parts of the page together.

import { announce } from "./announce.js";
import { list, startAnswerView, usePicture } from "./answer_view.js";
import { startChosen } from "./chosen.js";
import { find } from "./dom.js";
import { startIntake } from "./intake.js";
import { startKeys } from "./keys.js";
import { focusSearch, libraryList, showLibrary, startLibraryView } from "./library_view.js";
import { whereNow } from "./links.js";
import { startOverlay } from "./overlay.js";
import { stop } from "./player.js";
import { startSettings } from "./settings.js";
import { startTouch } from "./touch.js";

const refused = find("#refused", HTMLElement);

startSettings();
startAnswerView();
startLibraryView();
startChosen();
startOverlay();
startTouch();
startKeys(
  () => (whereNow().view === "picture" ? list : libraryList),
  () => {
    if (whereNow().view === "library") focusSearch();
    else {
      window.addEventListener("hashchange", focusSearch, { once: true });
      location.hash = "#library";
    }
  },
);
startIntake(
  (file) => {
    refused.hidden = true;
    if (whereNow().view !== "picture") location.hash = "";
    usePicture(file);
  },
  (words) => {
    refused.hidden = false;
    find("p", HTMLElement, refused).textContent = words;
    announce(words);
  },
);
find("#refused-close", HTMLButtonElement).addEventListener("click", () => {
  refused.hidden = true;
});

function show() {
  const where = whereNow();
  const isPicture = where.view === "picture";
  find("#picture-view", HTMLElement).hidden = !isPicture;
  find("#library", HTMLElement).hidden = isPicture;
  for (const [id, on] of /** @type {[string, boolean][]} */ ([
    ["#to-picture", isPicture],
    ["#to-library", !isPicture],
  ])) {
    const link = find(id, HTMLAnchorElement);
    if (on) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (where.view !== "picture") showLibrary(where);
}

window.addEventListener("hashchange", () => {
  stop();
  show();
});
show();
