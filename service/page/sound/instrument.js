// Plays what is under the finger: hits, and grains of them for a stroke.

/** @import { MapSound, PictureMap } from "../api/api.js" */

import { audioContext, gainOf, output, wake } from "./audio.js";
import { clipOf } from "./clips.js";

const MOST_VOICES = 24;
const GRAIN = 0.13; // seconds
const ATTACK = 0.004;

/** @type {Set<AudioBufferSourceNode>} */
const voices = new Set();
/** @type {Map<number, number>} How often each place was touched, so that its takes alternate. */
let touched = new Map();

export function newPicture() {
  touched = new Map();
  for (const voice of voices) voice.stop();
}

/**
 * A sound of the place whose clip is there, another one than the last time.
 * @param {PictureMap} map
 * @param {number} index
 * @returns {{ sound: MapSound, clip: AudioBuffer } | null}
 */
function next(map, index) {
  const times = touched.get(index) ?? 0;
  touched.set(index, times + 1);
  const takes = (map.places[index]?.sounds ?? []).flatMap((position) => {
    const sound = map.sounds[position];
    const clip = sound && clipOf(sound.id);
    return clip ? [{ sound, clip }] : [];
  });
  return takes[times % takes.length] ?? null;
}

/**
 * Strike the place; says whether it sounds.
 * @param {PictureMap} map
 * @param {number} index
 * @param {number} strength 0 to 1
 */
export function strike(map, index, strength) {
  const take = next(map, index);
  if (!take) return false;
  const level = audioContext().createGain();
  level.gain.value = strength * gainOf(take.sound.loudness);
  sound(take.clip, level, 1);
  return true;
}

/**
 * Scratch over the place for a moment; says whether it sounds.
 * @param {PictureMap} map
 * @param {number} index
 * @param {number} strength 0 to 1
 */
export function scratch(map, index, strength) {
  const take = next(map, index);
  if (!take) return false;
  const audio = audioContext();
  const now = audio.currentTime;
  const level = audio.createGain();
  const loud = strength * gainOf(take.sound.loudness);
  level.gain.setValueAtTime(0, now);
  level.gain.linearRampToValueAtTime(loud, now + ATTACK);
  level.gain.setTargetAtTime(0, now + GRAIN / 3, GRAIN / 4);
  // Not always the same piece at the same pitch, which would buzz.
  const latest = Math.max(0, Math.min(0.2, take.clip.duration - GRAIN));
  sound(take.clip, level, 0.93 + 0.14 * Math.random(), 0.008 + latest * Math.random() ** 2, 2 * GRAIN);
  return true;
}

/**
 * @param {AudioBuffer} clip
 * @param {GainNode} level
 * @param {number} rate
 * @param {number} offset
 * @param {number} [length]
 */
function sound(clip, level, rate, offset = 0, length) {
  wake();
  const [oldest] = voices;
  if (voices.size >= MOST_VOICES && oldest) {
    voices.delete(oldest);
    oldest.stop();
  }
  const source = audioContext().createBufferSource();
  source.buffer = clip;
  source.playbackRate.value = rate;
  source.connect(level).connect(output());
  source.addEventListener("ended", () => {
    voices.delete(source);
    level.disconnect();
  });
  voices.add(source);
  source.start(0, offset, length);
}
