// The form with the conditions that sounds must meet.

/** @import { Filter } from "./question.js" */

import { getJson } from "../api/api.js";
import { find } from "../common/dom.js";
import { filterParameters, noFilter } from "./question.js";

/** @type {Promise<{ name: string, sounds: number }[]> | null} */
let counts = null;

/**
 * @param {HTMLDetailsElement} details
 * @param {(filter: Filter, diversity: string) => void} apply
 */
export function filterForm(details, apply) {
  const form = find("form", HTMLFormElement, details);
  const summary = find("summary", HTMLElement, details);
  const material = find("select[name=material]", HTMLSelectElement, form);

  details.addEventListener("toggle", async () => {
    if (!details.open || material.options.length > 1) return;
    try {
      counts ??= getJson("materials").then(({ materials }) => materials);
      for (const { name, sounds } of (await counts) ?? []) {
        if (sounds) material.append(new Option(`${name} (${sounds.toLocaleString("en")})`, name));
      }
    } catch {
      counts = null; // asked again when the form is opened the next time
    }
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = new FormData(form);
    const filter = noFilter();
    for (const name of /** @type {(keyof Filter)[]} */ (Object.keys(filter))) {
      filter[name] = String(given.get(name) ?? "").trim();
    }
    apply(filter, String(given.get("diversity") ?? ""));
  });

  find(".clear", HTMLButtonElement, form).addEventListener("click", () => {
    form.reset();
    apply(noFilter(), "");
  });

  return {
    /**
     * Show what holds, which may have been changed elsewhere.
     * @param {Filter} filter
     * @param {string} diversity
     */
    show(filter, diversity = "") {
      for (const [name, value] of Object.entries({ ...filter, diversity })) {
        const field = form.elements.namedItem(name);
        if (!(field instanceof HTMLSelectElement || field instanceof HTMLInputElement)) continue;
        if (field instanceof HTMLSelectElement && value && ![...field.options].some((one) => one.value === value)) {
          field.append(new Option(value, value));
        }
        field.value = value;
      }
      const many = filterParameters(filter).length + Number(diversity !== "");
      summary.textContent = many ? `Filters (${many})` : "Filters";
    },
  };
}

/**
 * What a filter asks for, in words.
 * @param {string} name
 * @param {string} value
 */
export function filterWords(name, value) {
  if (name === "min_duration") return `at least ${value} s`;
  if (name === "max_duration") return `at most ${value} s`;
  return name === "material" ? `only ${value}` : `${name}: ${value}`;
}
