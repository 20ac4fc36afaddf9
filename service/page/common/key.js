// The API key, where the service wants one. It is kept for this tab alone.

const STORED = "thud.key";

let key = "";
try {
  key = sessionStorage.getItem(STORED) ?? "";
} catch {
  // Storage can be forbidden; the key then lasts as long as the page.
}

/** @returns {Record<string, string>} */
export function keyHeaders() {
  return key ? { "X-API-Key": key } : {};
}

export function hasKey() {
  return key !== "";
}

/**
 * @param {string} given
 */
export function setKey(given) {
  key = given.trim();
  try {
    sessionStorage.setItem(STORED, key);
  } catch {
    // As above.
  }
}
