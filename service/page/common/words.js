// Numbers and sentences as people read and hear them.

/**
 * Whole percent, which never claim that something is certain or impossible.
 * @param {number} probability
 */
export function percent(probability) {
  if (probability < 0.01) return "<1%";
  return probability > 0.99 ? ">99%" : `${Math.round(100 * probability)}%`;
}

/**
 * How much of something, which may well be all of it.
 * @param {number} share
 */
export function shareWords(share) {
  return share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`;
}

/**
 * The same for a screen reader, which may leave out signs.
 * @param {string} shown
 */
export function spoken(shown) {
  return shown.replaceAll("<", "under ").replaceAll(">", "over ").replaceAll("%", " percent");
}

/**
 * @param {number} duration in seconds
 */
export function seconds(duration) {
  if (duration < 60) return `${duration.toFixed(duration < 10 ? 2 : 0)} s`;
  return `${Math.floor(duration / 60)}:${String(Math.floor(duration % 60)).padStart(2, "0")} min`;
}

/**
 * @param {string} text
 */
export function sentence(text) {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}

/**
 * @param {number} number
 * @param {string} one such as "sound"
 */
export function count(number, one) {
  return `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;
}

/**
 * "wood, metal and glass"
 * @param {string[]} names
 */
export function listed(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
