// One colour for each material, far enough apart to tell neighbours; names always stand beside them.

/** @type {Record<string, string>} */
const COLOURS = {
  plastic: "#e8549a",
  drywall: "#c9c0ae",
  rock: "#757b86",
  metal: "#3f7fd4",
  leaf: "#2f9e44",
  grass: "#94c11f",
  paper: "#f2dd9b",
  water: "#17a9d1",
  gravel: "#a2896f",
  glass: "#63dcc4",
  tile: "#e8893a",
  ceramic: "#d1453b",
  "plastic-bag": "#b46be6",
  dirt: "#6d4a2c",
  cloth: "#6a56d6",
  wood: "#c58a3d",
  carpet: "#a8324f",
};

/**
 * @param {string} material
 */
export function colourOf(material) {
  return COLOURS[material] ?? "#888888";
}

/**
 * The same as red, green and blue, 0 to 255.
 * @param {string} material
 * @returns {[number, number, number]}
 */
export function rgbOf(material) {
  const number = Number.parseInt(colourOf(material).slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}
