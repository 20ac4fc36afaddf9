// Short sounds, fetched and decoded before they are needed, within bounds.

/** @import { MapSound } from "../api/api.js" */

import { getBlob, Problem } from "../api/api.js";
import { audioContext } from "./audio.js";
import { addressOf } from "./sound.js";

const MOST_CLIPS = 96;
const MOST_BYTES = 64 * 2 ** 20; // decoded; a clip of two seconds in stereo takes 0.75 MiB
const AT_ONCE = 4;

/** @type {Map<string, AudioBuffer>} By the id of the sound, those last that were used last. */
const kept = new Map();

/**
 * Fetch and decode these, the first first, until the bounds are reached. Those that do not decode are left out.
 * Returns how many are there, how many failed, and, where asking again may help, why.
 * @param {MapSound[]} sounds
 * @param {AbortSignal} signal
 */
export async function loadClips(sounds, signal) {
  const wanted = sounds.slice(0, MOST_CLIPS);
  const names = new Set(wanted.map(({ id }) => id));
  for (const id of kept.keys()) if (!names.has(id)) kept.delete(id);
  const missing = wanted.filter(({ id }) => !kept.has(id));
  let failed = 0;
  /** @type {Problem | null} */
  let away = null;
  const work = Array.from({ length: AT_ONCE }, async () => {
    for (let sound = missing.shift(); sound && !signal.aborted && bytes() < MOST_BYTES; sound = missing.shift()) {
      try {
        const clip = await getBlob(`${addressOf(sound, "clip")}?hit=${sound.hit}`, signal);
        kept.set(sound.id, await audioContext().decodeAudioData(await clip.arrayBuffer()));
      } catch (error) {
        if (signal.aborted) return;
        failed += 1;
        // Of these the service says that this sound has none; with all else, asking again may help.
        if (error instanceof Problem && ![404, 410, 415, 422].includes(error.status)) away = error;
      }
    }
  });
  await Promise.all(work);
  return { ready: wanted.filter(({ id }) => kept.has(id)).length, failed, away };
}

/**
 * @param {string} id
 */
export function clipOf(id) {
  return kept.get(id) ?? null;
}

function bytes() {
  let sum = 0;
  for (const { length, numberOfChannels } of kept.values()) sum += 4 * length * numberOfChannels;
  return sum;
}
