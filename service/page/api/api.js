// Requests to the service, and the shapes of its answers.

import { keyHeaders } from "../common/key.js";

/** @typedef {{ id: number, name: string }} MaterialName */
/** @typedef {MaterialName & { probability: number }} LikelyMaterial */
/** @typedef {MaterialName & { share: number }} MaterialShare */

/**
 * A result of a search, as `/recommend` and `/sounds/<id>/similar` have it.
 * @typedef {{ rank: number, id: string, url: string, similarity: number, score: number, match: number | null,
 *   material: MaterialName | null, duration: number, hit: number, span: [number, number], loudness: number,
 *   title: string, author: string | null, licence: string | null, because: string | null, object: string | null
 * }} Result
 */

/**
 * @typedef {{ model: string, index: string, k: number, returned: number, library: number,
 *   recognised: boolean | null, materials: LikelyMaterial[] | null,
 *   objects: { name: string, probability: number }[] | null, results: Result[], next: string | null
 * }} Answer
 */

/**
 * A record of the catalogue.
 * @typedef {{ id: string, url: string, title: string, description: string | null, tags: string[], path: string,
 *   material: MaterialName | null, duration: number, hit: number, hits: number[], ends: number[],
 *   loudness: number, media_type: string, author: string | null, licence: string | null, attribution: string,
 *   playable: boolean, action: string | null, source: string | null, origin: string | null
 * }} SoundRecord
 */

/** @typedef {{ total: number, sounds: SoundRecord[], next: string | null }} SoundPage */

/**
 * @typedef {{ id: string, url: string, title: string, material: MaterialName | null, duration: number, hit: number,
 *   loudness: number, author?: string | null, licence?: string | null }} MapSound
 */

/** @typedef {{ x: number, y: number, recognised: boolean | null, materials: LikelyMaterial[] | null, sounds: number[] }} Place */

/**
 * What is where in a picture, and what it sounds like.
 * @typedef {{ columns: number, rows: number, size: number, materials: MaterialShare[] | null, places: Place[],
 *   sounds: MapSound[] }} PictureMap
 */

/** @typedef {{ duration: number, hit: number, hits: number[], peaks: number[] }} Peaks */

const MOST_WAITS = 2; // how often, and how long each time, the page waits when the service asks it to
const LONGEST_WAIT = 10; // seconds

/** An answer that is an error, one that cannot be read (`status` 2xx), or none (0). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   * @param {number} retryAfter seconds, 0 where the service does not say
   */
  constructor(status, detail, retryAfter = 0) {
    super(detail);
    this.status = status;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

/**
 * The body of a GET, which is JSON. Throws a Problem, or an AbortError.
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function getJson(path, signal) {
  const response = await get(path, signal);
  const text = await wholeBody(response.text(), signal);
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(response.status, "");
  }
}

/**
 * The body of a GET. Throws a Problem, or an AbortError.
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<Blob>}
 */
export async function getBlob(path, signal) {
  return wholeBody((await get(path, signal)).blob(), signal);
}

/**
 * A body that breaks off is a service that went away.
 * @template T
 * @param {Promise<T>} body
 * @param {AbortSignal | undefined} signal
 */
async function wholeBody(body, signal) {
  try {
    return await body;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "");
  }
}

/**
 * The answer to a GET, where it is none of the errors. Throws a Problem, or an AbortError.
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @param {string} method
 */
export async function get(path, signal, method = "GET") {
  let response;
  try {
    response = await fetch(path, { method, headers: keyHeaders(), ...(signal && { signal }) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "");
  }
  if (response.ok) return response;
  const body = await response.text().catch(() => "");
  throw problemOf(response.status, body, response.headers.get("Retry-After"));
}

/**
 * Send the picture and return the answer, which is JSON. Where the service is busy and says for how long, it is asked
 * again, twice at the most. Throws a Problem, or an AbortError.
 * @param {string} path
 * @param {Blob} picture
 * @param {AbortSignal} signal
 * @param {(share: number) => void} sent called with how much of the picture is sent, 0 to 1
 * @param {(problem: Problem) => void} waiting called before each wait
 * @returns {Promise<any>}
 */
export async function sendPicture(path, picture, signal, sent = () => {}, waiting = () => {}) {
  for (let patience = MOST_WAITS; ; patience--) {
    try {
      return await sendOnce(path, picture, signal, sent);
    } catch (error) {
      if (!(error instanceof Problem) || !patience) throw error;
      const busy = error.status === 429 || error.status === 503;
      if (!busy || !(error.retryAfter > 0 && error.retryAfter <= LONGEST_WAIT)) throw error;
      waiting(error);
      await pause(1000 * (error.retryAfter + Math.random())); // not all that were refused at once
      signal.throwIfAborted();
    }
  }
}

/**
 * XMLHttpRequest, because fetch does not tell how much of a body is sent.
 * @param {string} path
 * @param {Blob} picture
 * @param {AbortSignal} signal
 * @param {(share: number) => void} sent
 * @returns {Promise<any>}
 */
async function sendOnce(path, picture, signal, sent) {
  // Read before: a file that is gone is no service that cannot be reached.
  const bytes = await picture.arrayBuffer().catch(() => {
    throw new Problem(400, "The file cannot be read. Choose it again.");
  });
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener("abort", abort);
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("error", () => reject(new Problem(0, "")));
    request.upload.addEventListener("progress", (event) => event.total && sent(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status < 200 || request.status > 299) {
        reject(problemOf(request.status, request.responseText, request.getResponseHeader("Retry-After")));
        return;
      }
      try {
        resolve(JSON.parse(request.responseText));
      } catch {
        reject(new Problem(request.status, ""));
      }
    });
    request.open("POST", path);
    // The service looks at the content, not at what the file calls itself.
    request.setRequestHeader("Content-Type", "application/octet-stream");
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.send(bytes);
  });
}

/**
 * @param {number} status
 * @param {string} body
 * @param {string | null} retryAfter
 */
function problemOf(status, body, retryAfter) {
  let detail = `The answer was ${status}.`;
  try {
    const said = JSON.parse(body).detail;
    if (typeof said === "string" && said) detail = said;
  } catch {
    // A proxy in front of the service may answer with something else.
  }
  return new Problem(status, detail, Number(retryAfter) || 0);
}

/**
 * @param {number} milliseconds
 */
function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}
