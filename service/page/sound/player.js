// Plays whole sounds, one at a time, from their hit on.

/** @import { Sound } from "./sound.js" */

import { get, getBlob, Problem } from "../api/api.js";
import { find } from "../common/dom.js";
import { hasKey } from "../common/key.js";
import { onSetting } from "../common/settings.js";
import { sentence } from "../common/words.js";
import { audioContext, gainOf, output, wake } from "./audio.js";

const NOT_PLAYED = "This sound cannot be played here.";

const media = find("#player", HTMLAudioElement);
/** @type {GainNode | null} */
let gain = null;

/** @type {Sound | null} The sound that is loaded. */
let loaded = null;
/** @type {number} Until when it is played. */
let until = 0;
/** @type {Sound[]} What is played after it. */
let following = [];
let looping = false;
let watching = 0;

/** What the player tells of: `change` when a sound begins, pauses or ends; `fail` when it cannot be played. */
export const playerEvents = new EventTarget();

export function soundingId() {
  return loaded && !media.paused ? loaded.id : null;
}

/**
 * How far the sound with this id has played, 0 to 1 of the whole file.
 * @param {string} id
 */
export function playedShare(id) {
  return loaded?.id === id && media.duration > 0 ? media.currentTime / media.duration : 0;
}

/**
 * @param {boolean} on
 */
export function setLoop(on) {
  looping = on;
}

/**
 * Play it from its hit on, or pause it where it plays.
 * @param {Sound} sound
 */
export function toggle(sound) {
  following = [];
  if (loaded?.id === sound.id && !media.paused) media.pause();
  else if (loaded?.id === sound.id && media.currentTime > sound.hit && media.currentTime < until) start();
  else play(sound);
}

/**
 * One after another.
 * @param {Sound[]} sounds
 */
export function playAll(sounds) {
  const [first, ...rest] = sounds;
  if (!first) return;
  play(first);
  following = rest;
}

/**
 * @param {Sound} sound
 * @param {number} from seconds
 * @param {number} to seconds
 */
export async function play(sound, from = sound.hit, to = sound.end) {
  following = [];
  until = to;
  if (loaded?.id !== sound.id) {
    stop();
    loaded = sound;
    try {
      media.src = await sourceOf(sound);
    } catch (error) {
      if (loaded === sound)
        fail(sound, error instanceof Problem && error.detail ? sentence(error.detail) : NOT_PLAYED);
      return;
    }
    if (loaded !== sound) return;
  }
  media.currentTime = from;
  start();
}

/** @param {Sound} sound */
async function sourceOf(sound) {
  // An audio element sends no headers, so a service that wants a key is asked by fetch.
  return hasKey() ? URL.createObjectURL(await getBlob(sound.url)) : sound.url;
}

async function start() {
  const sound = loaded;
  if (!sound) return;
  wake();
  if (!gain) {
    gain = audioContext().createGain();
    audioContext().createMediaElementSource(media).connect(gain).connect(output());
  }
  gain.gain.value = gainOf(sound.loudness);
  try {
    await media.play();
    cancelAnimationFrame(watching);
    watching = requestAnimationFrame(watchEnd);
  } catch (error) {
    // AbortError: another sound was started before this one had begun.
    if (error instanceof DOMException && error.name !== "AbortError" && loaded === sound) await explain(sound);
  }
}

/** @param {Sound} sound */
async function explain(sound) {
  let reason = NOT_PLAYED;
  try {
    await get(sound.url, undefined, "HEAD");
  } catch {
    // Only the answer to a GET has a body that says why.
    reason = await get(sound.url).then(
      () => NOT_PLAYED,
      (error) => (error instanceof Problem && error.detail ? sentence(error.detail) : NOT_PLAYED),
    );
  }
  fail(sound, reason);
}

/**
 * @param {Sound} sound
 * @param {string} reason
 */
function fail(sound, reason) {
  stop();
  playerEvents.dispatchEvent(new CustomEvent("fail", { detail: { id: sound.id, reason } }));
}

export function stop() {
  if (!loaded) return;
  const before = media.src;
  loaded = null;
  following = [];
  media.pause();
  media.removeAttribute("src");
  media.load();
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
  changed();
}

// A browser tells of the time too rarely to stop at the end of a hit.
function watchEnd() {
  if (!loaded || media.paused) return;
  if (media.currentTime >= until && until < media.duration - 0.05) ended();
  else watching = requestAnimationFrame(watchEnd);
}

function ended() {
  if (!loaded) return;
  const [next, ...rest] = following;
  if (looping) {
    media.currentTime = loaded.hit;
    until = loaded.end;
    start();
  } else if (next) {
    play(next);
    following = rest;
  } else stop();
}

function changed() {
  playerEvents.dispatchEvent(new Event("change"));
}

media.addEventListener("playing", changed);
media.addEventListener("pause", changed);
media.addEventListener("ended", ended);
onSetting((name) => {
  if (name === "level" && gain && loaded) gain.gain.value = gainOf(loaded.loudness);
});
