// A sound as the page plays and shows it, whether it comes from a search, the catalogue or a map.

/** @import { MaterialName, Result, SoundRecord } from "../api/api.js" */

import { percent, spoken } from "../common/words.js";

/**
 * `end`: until when it is played from its hit on. `score` and what follows are null where nothing was compared.
 * @typedef {{ id: string, url: string, title: string, material: MaterialName | null, duration: number, hit: number,
 *   end: number, loudness: number, author: string | null, licence: string | null, score: number | null,
 *   similarity: number | null, match: number | null, object: string | null }} Sound
 */

/**
 * @param {Result} result
 * @returns {Sound}
 */
export function soundOfResult(result) {
  const { span, rank: _, because: __, ...rest } = result;
  return { ...rest, end: span[1] };
}

/**
 * @param {SoundRecord} record
 * @returns {Sound}
 */
export function soundOfRecord(record) {
  const { id, url, title, material, duration, hit, loudness, author, licence } = record;
  const end = record.ends[record.hits.indexOf(hit)] ?? duration;
  const compared = { score: null, similarity: null, match: null, object: null };
  return { id, url, title, material, duration, hit, end, loudness, author, licence, ...compared };
}

/**
 * How well a sound fits, as name, text and number: its match where the service can tell materials, else its score.
 * Null where nothing was asked with.
 * @param {Sound} sound
 * @returns {[name: string, text: string, share: number] | null}
 */
export function rating({ match, score }) {
  if (match !== null) return ["match", percent(match), match];
  return score === null ? null : ["score", score.toFixed(2), score];
}

/**
 * @param {Sound} sound
 */
export function described(sound) {
  const [name, text] = rating(sound) ?? ["", ""];
  const fits = name ? `${name} ${spoken(text)}` : "";
  return [sound.material?.name, sound.title, fits].filter(Boolean).join(", ");
}

/**
 * Where something about the sound is: `clip`, `peaks`, `info` or `similar`.
 * @param {{ url: string }} sound
 * @param {string} what
 */
export function addressOf(sound, what) {
  return `${sound.url}/${what}`;
}
