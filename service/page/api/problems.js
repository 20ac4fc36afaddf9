// What went wrong, in words, and which ways on there are.

import { setting } from "../common/settings.js";
import { sentence } from "../common/words.js";
import { Problem } from "./api.js";

/**
 * A way on: send it again, enter a key, let the page scale the picture down, or take another picture.
 * @typedef {"retry" | "key" | "scale" | "another"} Way
 */

/** @typedef {{ title: string, detail: string, ways: Way[] }} Trouble */

/**
 * @param {unknown} error
 * @returns {Trouble}
 */
export function troubleOf(error) {
  if (!(error instanceof Problem)) {
    return {
      title: "Something went wrong in this page",
      detail: sentence(String(error)),
      ways: ["retry", "another"],
    };
  }
  const { status } = error;
  const detail = sentence(error.detail);
  const smaller = setting("scale")
    ? { advice: "", ways: /** @type {Way[]} */ ([]) }
    : { advice: " Let the page scale it down before it is sent.", ways: /** @type {Way[]} */ (["scale"]) };
  if (status === 0) {
    return {
      title: "The service cannot be reached",
      detail: "Check that it is running and that you are connected, then try again.",
      ways: ["retry", "another"],
    };
  }
  if (status < 300) {
    return {
      title: "The answer cannot be read",
      detail: "Something between this page and the service may have answered in its place.",
      ways: ["retry", "another"],
    };
  }
  if (status === 401) {
    return {
      title: "This service wants a key",
      detail: "Enter the API key that you were given, here or in the settings.",
      ways: ["key", "another"],
    };
  }
  if (status === 408) {
    const advice = `The picture did not arrive in time.${smaller.advice}`;
    return { title: "The connection was too slow", detail: advice, ways: [...smaller.ways, "retry", "another"] };
  }
  if (status === 413) {
    const ways = /** @type {Way[]} */ ([...smaller.ways, "another"]);
    return { title: "That picture is too large", detail: detail + smaller.advice, ways };
  }
  if (status === 415) return { title: "That file cannot be read as a picture", detail, ways: ["another"] };
  if (status === 429) return { title: "That was too often", detail, ways: ["retry", "another"] };
  if (status === 503) return { title: "The service cannot answer now", detail, ways: ["retry", "another"] };
  if (status >= 500) return { title: "Something went wrong", detail, ways: ["retry", "another"] };
  return { title: "That cannot be answered", detail, ways: ["another"] };
}

/**
 * The trouble as one text.
 * @param {unknown} error
 */
export function inWords(error) {
  const { title, detail } = troubleOf(error);
  return `${title}. ${detail}`;
}
