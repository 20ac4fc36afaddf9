// The one audio context: levels that match, and a limiter, so that many sounds at once do not clip.

import { setting } from "../common/settings.js";

const LEVEL = -20; // LUFS at the hit, to which all sounds are brought
const MOST_GAIN = 30; // dB: what is nearly silent is not turned into noise

/** @type {AudioContext | null} */
let context = null;
/** @type {AudioNode | null} */
let out = null;

export function audioContext() {
  context ??= new AudioContext({ latencyHint: "interactive" });
  return context;
}

/** Where sounds go. */
export function output() {
  if (out) return out;
  const limiter = audioContext().createDynamicsCompressor();
  limiter.threshold.value = -6;
  limiter.knee.value = 3;
  limiter.ratio.value = 20;
  limiter.attack.value = 0.001;
  limiter.release.value = 0.08;
  limiter.connect(audioContext().destination);
  out = limiter;
  return out;
}

/** Browsers let nothing sound before the person has done something; call it then. */
export function wake() {
  const audio = audioContext();
  if (audio.state !== "running") audio.resume().catch(() => {});
}

/**
 * The factor that makes a sound of this loudness as loud as all others.
 * @param {number} loudness
 */
export function gainOf(loudness) {
  if (!setting("level") || !Number.isFinite(loudness)) return 1;
  return 10 ** (Math.min(MOST_GAIN, LEVEL - loudness) / 20);
}
