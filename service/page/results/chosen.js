// Sounds that the person has chosen, to take away together with whom to name for them.

/** @import { Sound } from "../sound/sound.js" */

import { get, getBlob, Problem } from "../api/api.js";
import { inWords } from "../api/problems.js";
import { announce } from "../common/announce.js";
import { find } from "../common/dom.js";
import { hasKey } from "../common/key.js";
import { count as counted, sentence } from "../common/words.js";
import { saveAddress, saveBlob } from "./saving.js";

const MOST = 100; // as many as the service sends in one zip unless it is told otherwise

/** @type {Map<string, Sound>} */
const chosen = new Map();

const bar = find("#chosen", HTMLElement);
const words = find("#chosen-count", HTMLElement);
const trouble = find("#chosen-trouble", HTMLElement);
const save = find("#save-chosen", HTMLButtonElement);

/**
 * @param {Sound} sound
 */
export function toggleChosen(sound) {
  if (chosen.has(sound.id)) chosen.delete(sound.id);
  else if (chosen.size >= MOST) {
    trouble.textContent = `At most ${MOST} sounds go into one zip.`;
    announce(trouble.textContent);
    showChosen();
    return;
  } else chosen.set(sound.id, sound);
  trouble.textContent = "";
  showChosen();
  announce(chosen.size ? `${counted(chosen.size, "sound")} chosen.` : "No sound chosen.");
}

/** Tick what is chosen, also in rows that were just made. */
export function showChosen() {
  bar.hidden = chosen.size === 0;
  words.textContent = `${counted(chosen.size, "sound")} chosen`;
  for (const row of document.querySelectorAll(".result")) {
    const id = row instanceof HTMLElement ? (row.dataset.id ?? "") : "";
    find(".choose", HTMLInputElement, row).checked = chosen.has(id);
  }
}

export function startChosen() {
  find("#clear-chosen", HTMLButtonElement).addEventListener("click", () => {
    chosen.clear();
    trouble.textContent = "";
    showChosen();
    announce("No sound chosen.");
  });
  save.addEventListener("click", async () => {
    save.disabled = true;
    trouble.textContent = "";
    const path = `sounds.zip?${new URLSearchParams([...chosen.keys()].map((id) => ["id", id]))}`;
    try {
      await saveZip(path);
      announce("The zip is on its way.");
    } catch (error) {
      const isAboutSounds = error instanceof Problem && error.status >= 400 && error.status < 500;
      trouble.textContent = isAboutSounds && error.status !== 401 ? sentence(error.detail) : inWords(error);
      announce(trouble.textContent);
    } finally {
      save.disabled = false;
    }
  });
}

/**
 * @param {string} path
 */
async function saveZip(path) {
  if (hasKey()) {
    // A link sends no key.
    saveBlob(await getBlob(path), "sounds.zip");
    return;
  }
  // A link would save an error as a file, so it is asked before; only the answer to a GET says why not.
  const refused = await get(path, undefined, "HEAD").then(
    () => false,
    () => true,
  );
  if (refused) await get(path);
  saveAddress(path, "sounds.zip");
}
