// Begins: puts the parts of the page together.

import { announce } from "./common/announce.js";
import { find } from "./common/dom.js";
import { whereNow } from "./common/links.js";
import { startSettings } from "./common/settings.js";
import { startKeys } from "./keys.js";
import { startIntake } from "./picture/intake.js";
import { startChosen } from "./results/chosen.js";
import { stop } from "./sound/player.js";
import { startOverlay } from "./touch/overlay.js";
import { startTouch } from "./touch/touch.js";
import { list, startAnswerView, usePicture } from "./views/answer_view.js";
import { focusSearch, libraryList, showLibrary, startLibraryView } from "./views/library_view.js";

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
