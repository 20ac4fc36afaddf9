// A list of sounds: in groups where asked for, the weak ones folded away.

/** @import { Sound } from "../sound/sound.js" */

import { copyOf, element, find } from "../common/dom.js";
import { count } from "../common/words.js";
import { rowOf } from "./row.js";

const WEAK = 0.2; // a sound that fits with less than this probability is weak,
const MUCH_WEAKER = 3; // if the best fits so many times better

/**
 * Where a list stands on the page.
 * @typedef {{ sounds: Sound[], strong: Sound[], show: (sounds: Sound[], how: How) => void, focus: (number: number) => void,
 *   rows: () => HTMLElement[] }} SoundList
 */

/** @typedef {{ grouped: boolean, folding: boolean }} How */

/**
 * @param {HTMLElement} place
 * @returns {SoundList}
 */
export function soundList(place) {
  let unfolded = false;

  /** @type {SoundList} */
  const list = {
    sounds: [],
    strong: [],

    show(sounds, { grouped, folding }) {
      const isMore = list.sounds.length > 0 && list.sounds.every((one, index) => one === sounds[index]);
      if (!isMore) unfolded = false;
      const best = Math.max(...sounds.map(({ match }) => match ?? 0));
      /** @param {Sound} sound */
      const isWeak = ({ match }) => folding && match !== null && match < WEAK && match < best / MUCH_WEAKER;
      const weak = sounds.filter(isWeak);
      list.sounds = sounds;
      list.strong = sounds.filter((sound) => !isWeak(sound));
      let number = 0;
      /** @param {Sound[]} some */
      const listed = (some) => {
        const made = element("ol", "results");
        made.append(...some.map((sound) => rowOf(sound, ++number)));
        return made;
      };
      const groups = grouped ? inGroups(list.strong) : [];
      place.replaceChildren(
        ...(groups.length > 1
          ? groups.map(([name, some]) => groupOf(name, some.length, listed(some)))
          : list.strong.length
            ? [listed(list.strong)]
            : []),
      );
      if (weak.length) place.append(folded(weak.length, listed(weak)));
    },

    focus(number) {
      const row = list.rows()[number];
      if (row) find(".play", HTMLButtonElement, row).focus();
    },

    rows: () => [...place.querySelectorAll(".result")].filter((row) => row instanceof HTMLElement),
  };

  /**
   * @param {number} many
   * @param {HTMLElement} weak
   */
  function folded(many, weak) {
    const fold = copyOf("weak");
    const button = find("button", HTMLButtonElement, fold);
    const say = () => {
      button.textContent = unfolded ? "Hide weak ones" : `Show ${count(many, "weak one")}`;
      button.setAttribute("aria-expanded", String(unfolded));
      weak.hidden = !unfolded;
    };
    button.addEventListener("click", () => {
      unfolded = !unfolded;
      say();
    });
    say();
    fold.append(weak);
    return fold;
  }

  return list;
}

/**
 * The sounds by their material, the materials in the order in which they come first.
 * @param {Sound[]} sounds
 * @returns {[string, Sound[]][]}
 */
export function inGroups(sounds) {
  /** @type {Map<string, Sound[]>} */
  const groups = new Map();
  for (const sound of sounds) {
    const name = sound.material?.name ?? "no material given";
    groups.set(name, [...(groups.get(name) ?? []), sound]);
  }
  return [...groups];
}

/**
 * @param {string} name
 * @param {number} many
 * @param {HTMLElement} list
 */
function groupOf(name, many, list) {
  const group = copyOf("group-of-sounds");
  find(".group-name", HTMLElement, group).textContent = name;
  find(".group-count", HTMLElement, group).textContent = count(many, "sound");
  for (const title of list.querySelectorAll(".title")) title.setAttribute("aria-level", "4");
  group.append(list);
  return group;
}
