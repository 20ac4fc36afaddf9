// The places of a picture: which one is where, and what is there in words.

/** @import { Answer, LikelyMaterial, MapSound, PictureMap, Place } from "../api/api.js" */

import { percent, spoken } from "../common/words.js";

/**
 * The place whose centre is nearest to a point; both in fractions of the picture.
 * @param {PictureMap} map
 * @param {number} x
 * @param {number} y
 */
export function placeAt(map, x, y) {
  let best = 0;
  let nearest = Number.POSITIVE_INFINITY;
  map.places.forEach((place, index) => {
    const distance = (place.x - x) ** 2 + (place.y - y) ** 2;
    if (distance < nearest) [best, nearest] = [index, distance];
  });
  return best;
}

/**
 * The place beside another, at the edge the same one.
 * @param {PictureMap} map
 * @param {number} index
 * @param {number} right
 * @param {number} down
 */
export function placeBeside(map, index, right, down) {
  const column = Math.min(map.columns - 1, Math.max(0, (index % map.columns) + right));
  const row = Math.min(map.rows - 1, Math.max(0, Math.floor(index / map.columns) + down));
  return row * map.columns + column;
}

/**
 * What is at the place, if it is clear enough to be said.
 * @param {Place} place
 * @returns {LikelyMaterial | null}
 */
export function materialAt(place) {
  return place.recognised === false ? null : (place.materials?.[0] ?? null);
}

/**
 * @param {PictureMap} map
 * @param {number} index
 */
export function placeWords(map, index) {
  const place = map.places[index];
  const material = place && materialAt(place);
  if (material) return `${material.name}, ${spoken(percent(material.probability))}`;
  return place?.recognised === false ? "nothing clear" : "unknown material";
}

/**
 * A map of one place, for where the places of a picture cannot be told apart.
 * @param {Answer} answer
 * @returns {PictureMap}
 */
export function mapOfWhole(answer) {
  const place = {
    x: 0.5,
    y: 0.5,
    recognised: answer.recognised,
    materials: answer.materials?.slice(0, 3) ?? null,
    sounds: answer.results.slice(0, 3).map((_, index) => index),
  };
  return { columns: 1, rows: 1, size: 1, materials: [], places: [place], sounds: answer.results.slice(0, 3) };
}

/**
 * The sounds of the map, those first that the most places begin with.
 * @param {PictureMap} map
 * @returns {MapSound[]}
 */
export function soundsByUse(map) {
  const uses = map.sounds.map(() => 0);
  for (const { sounds } of map.places) {
    sounds.forEach((sound, rank) => {
      uses[sound] = (uses[sound] ?? 0) + 1 / (1 + rank);
    });
  }
  return map.sounds
    .map((sound, index) => ({ sound, use: uses[index] ?? 0 }))
    .sort((one, other) => other.use - one.use)
    .map(({ sound }) => sound);
}
