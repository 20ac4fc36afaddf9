// The part of the address after #: which view it is, so that links lead there and the way back works.

/** @typedef {{ view: "picture" } | { view: "library", words: string } | { view: "sound", id: string }} Where */

/**
 * @returns {Where}
 */
export function whereNow() {
  const hash = location.hash.slice(1);
  const sound = /^sound\/([0-9a-f]{20})$/.exec(hash);
  if (sound) return { view: "sound", id: sound[1] ?? "" };
  if (hash === "library" || hash.startsWith("library?")) {
    return { view: "library", words: new URLSearchParams(hash.slice("library?".length)).get("q") ?? "" };
  }
  return { view: "picture" };
}

/**
 * @param {Where} where
 */
export function hashOf(where) {
  if (where.view === "sound") return `#sound/${where.id}`;
  if (where.view === "library")
    return where.words ? `#library?${new URLSearchParams({ q: where.words })}` : "#library";
  return "#";
}

/**
 * The whole address that leads to a sound.
 * @param {{ id: string }} sound
 */
export function linkTo({ id }) {
  return new URL(hashOf({ view: "sound", id }), location.href).href;
}
