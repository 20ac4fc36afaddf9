// What a person can do with the sounds of a list.

/** @import { SoundRecord } from "../api/api.js" */
/** @import { Sound } from "../sound/sound.js" */

import { getBlob, getJson } from "../api/api.js";
import { inWords } from "../api/problems.js";
import { announce } from "../common/announce.js";
import { find } from "../common/dom.js";
import { hasKey } from "../common/key.js";
import { linkTo } from "../common/links.js";
import { setting } from "../common/settings.js";
import { play, playedShare, playerEvents, soundingId, stop, toggle } from "../sound/player.js";
import { addressOf } from "../sound/sound.js";
import { toggleChosen } from "./chosen.js";
import { rowAround, showPlaying, showTrouble } from "./row.js";
import { saveBlob } from "./saving.js";

const HOVER_WAIT = 120; // milliseconds, so that moving over a list is no noise

/** @type {Map<string, SoundRecord>} What a drag needs to know beforehand. */
const records = new Map();

/**
 * @param {HTMLElement} place
 * @param {(way: "more" | "less", sound: Sound) => void} like
 */
export function startRowActions(place, like) {
  place.addEventListener("click", (event) => {
    const at = rowAround(event.target);
    const control = event.target instanceof Element ? event.target.closest("[data-act]") : null;
    if (!at || !(control instanceof HTMLElement)) return;
    act(control, at.row, at.sound, event, like);
  });

  place.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = rowAround(event.target);
    if (!step || !at || event.ctrlKey || event.altKey || event.metaKey) return;
    const rows = [...place.querySelectorAll(".result")].filter((row) => row.checkVisibility());
    const beside = rows[rows.indexOf(at.row) + step];
    if (!beside) return;
    event.preventDefault();
    find(".play", HTMLButtonElement, beside).focus();
  });

  startHover(place);
  startDrag(place);
}

/**
 * @param {HTMLElement} control
 * @param {HTMLElement} row
 * @param {Sound} sound
 * @param {MouseEvent} event
 * @param {(way: "more" | "less", sound: Sound) => void} like
 */
function act(control, row, sound, event, like) {
  switch (control.dataset.act) {
    case "play":
      showTrouble(row, "");
      toggle(sound);
      break;
    case "seek": {
      const box = control.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      showTrouble(row, "");
      play(sound, share * sound.duration, sound.duration);
      break;
    }
    case "more":
    case "less":
      like(control.dataset.act, sound);
      break;
    case "choose":
      toggleChosen(sound);
      break;
    case "link":
      copyLink(row, sound);
      break;
    case "menu": {
      const open = row.toggleAttribute("data-open");
      control.setAttribute("aria-expanded", String(open));
      break;
    }
    case "download":
      // A link sends no key.
      if (hasKey()) {
        event.preventDefault();
        download(row, sound);
      }
      break;
  }
}

/**
 * @param {HTMLElement} row
 * @param {Sound} sound
 */
async function copyLink(row, sound) {
  const link = linkTo(sound);
  try {
    await navigator.clipboard.writeText(link);
    announce("The link is copied.");
    showTrouble(row, "The link is copied.");
  } catch {
    // Without https, or where the person forbids it.
    showTrouble(row, link);
    announce(`The link cannot be copied here; it is ${link}`);
  }
}

/**
 * @param {HTMLElement} row
 * @param {Sound} sound
 */
async function download(row, sound) {
  try {
    const content = await getBlob(sound.url);
    const record = await recordOf(sound);
    saveBlob(content, record ? nameOf(record) : sound.title);
  } catch (error) {
    showTrouble(row, inWords(error));
    announce(inWords(error));
  }
}

/** @param {HTMLElement} place */
function startHover(place) {
  let waiting = 0;
  /** @type {string | null} */
  let heard = null;
  place.addEventListener("pointerover", (event) => {
    const at = rowAround(event.target);
    if (!at || event.pointerType !== "mouse" || rowAround(event.relatedTarget)?.row === at.row) return;
    recordOf(at.sound);
    if (!setting("hover")) return;
    waiting = window.setTimeout(() => {
      heard = at.sound.id;
      play(at.sound);
    }, HOVER_WAIT);
  });
  place.addEventListener("pointerout", (event) => {
    const at = rowAround(event.target);
    if (!at || rowAround(event.relatedTarget)?.row === at.row) return;
    window.clearTimeout(waiting);
    if (heard && soundingId() === heard) stop();
    heard = null;
  });
}

/** @param {HTMLElement} place */
function startDrag(place) {
  place.addEventListener("dragstart", (event) => {
    const at = rowAround(event.target);
    if (!at || !event.dataTransfer) return;
    const address = new URL(at.sound.url, location.href).href;
    const record = records.get(at.sound.id);
    event.dataTransfer.effectAllowed = "copy";
    event.dataTransfer.setData("application/x-thud", at.sound.id);
    event.dataTransfer.setData("text/uri-list", address);
    event.dataTransfer.setData("text/plain", address);
    // Chromium makes a file of this where it is dropped.
    if (record && !hasKey()) {
      const kind = record.playable ? record.media_type : "audio/flac";
      event.dataTransfer.setData("DownloadURL", `${kind}:${nameOf(record)}:${address}`);
    }
  });
}

/**
 * @param {Sound} sound
 * @returns {Promise<SoundRecord | null>}
 */
async function recordOf(sound) {
  const known = records.get(sound.id);
  if (known) return known;
  try {
    const record = await getJson(addressOf(sound, "info"));
    records.set(sound.id, record);
    return record;
  } catch {
    return null;
  }
}

/**
 * The name of the file that the service sends.
 * @param {SoundRecord} record
 */
function nameOf(record) {
  const name = record.path.split("/").at(-1) ?? "sound";
  return record.playable ? name : name.replace(/\.[^.]*$/, ".flac");
}

/** @param {HTMLElement} place */
export function followPlayer(place) {
  const rows = () => [...place.querySelectorAll(".result")].flatMap((row) => rowAround(row) ?? []);

  playerEvents.addEventListener("change", () => {
    const playing = soundingId();
    for (const { row, sound } of rows()) {
      if ((sound.id === playing) !== "sounding" in row.dataset) showPlaying(row, sound.id === playing);
    }
    draw();
  });
  playerEvents.addEventListener("fail", (event) => {
    const { id, reason } = /** @type {CustomEvent} */ (event).detail;
    for (const { row, sound } of rows()) if (sound.id === id) showTrouble(row, reason);
    announce(reason);
  });

  function draw() {
    for (const { row, sound } of rows()) row.style.setProperty("--played", String(playedShare(sound.id)));
    if (soundingId()) requestAnimationFrame(draw);
  }
}
