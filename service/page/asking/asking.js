// One picture and what is asked about it: the answer, the sounds after it, and the way back.

/** @import { Answer, PictureMap, Problem } from "../api/api.js" */
/** @import { Filter, Question } from "./question.js" */
/** @import { Sent } from "../picture/picture.js" */

import { sendPicture } from "../api/api.js";
import { toSend } from "../picture/picture.js";
import { soundOfResult } from "../sound/sound.js";
import { filterParameters, newQuestion, parametersOf } from "./question.js";

/** @import { Sound } from "../sound/sound.js" */

/** @typedef {{ question: Question, answer: Answer, sounds: Sound[] }} Answered */

/**
 * Who is told what becomes of a question. `first`: no answer to this picture stands yet.
 * @typedef {{
 *   began: (first: boolean) => void,
 *   sent: (share: number) => void,
 *   waiting: (problem: Problem) => void,
 *   answered: (answered: Answered, first: boolean) => void,
 *   failed: (error: unknown, first: boolean) => void,
 *   continued: (answered: Answered, before: number) => void,
 *   notContinued: (error: unknown) => void,
 *   mapped: (map: PictureMap) => void,
 *   notMapped: (error: unknown) => void,
 * }} Listener
 */

/** @type {File | null} */
let picture = null;
/** @type {Promise<Sent> | null} */
let sending = null;
let question = newQuestion();
/** @type {Answered | null} */
let standing = null;
/** @type {Answered | null} The first answer about the picture, when the person had not yet said anything. */
let untold = null;
/** @type {Answered[]} What stood before, the last last. */
let before = [];
/** @type {AbortController | null} */
let asking = null;
/** @type {AbortController | null} */
let mapping = null;
/** @type {Filter | null} With which filter the map was asked for. */
let mapped = null;

/** @type {Listener} */
let tell;

/**
 * @param {Listener} listener
 */
export function startAsking(listener) {
  tell = listener;
}

export function currentPicture() {
  return picture;
}

export function currentQuestion() {
  return question;
}

export function currentAnswer() {
  return standing;
}

/** What the service saw in the picture before the person said anything. */
export function untoldAnswer() {
  return untold?.answer ?? null;
}

export function canUndo() {
  return before.length > 0;
}

/**
 * @param {File} file
 */
export function askAbout(file) {
  forget();
  picture = file;
  question = newQuestion(question);
  sending = toSend(file);
  ask();
}

/** Stop all that is under way, and let go of the picture. */
export function forget() {
  asking?.abort();
  mapping?.abort();
  picture = sending = standing = untold = null;
  before = [];
}

/**
 * Ask something else about the same picture.
 * @param {Question} changed
 */
export function change(changed) {
  question = changed;
  if (picture) ask();
}

/** Ask again what failed; the picture is made anew, as the settings are now. */
export function retry() {
  if (!picture) return;
  if (!standing) sending = toSend(picture);
  ask();
}

/** Back to what stood before the last change. */
export function undo() {
  const last = before.pop();
  if (!last) return;
  asking?.abort();
  standing = last;
  question = last.question;
  tell.answered(last, false);
  if (question.filter !== mapped) askForMap();
}

async function ask() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const first = !standing;
  const asked = question;
  tell.began(first);
  try {
    const { blob } = await /** @type {Promise<Sent>} */ (sending);
    signal.throwIfAborted();
    const path = addressOf("recommend", parametersOf(asked));
    /** @type {Answer} */
    const answer = await sendPicture(path, blob, signal, tell.sent, tell.waiting);
    const answered = { question: asked, answer, sounds: answer.results.map(soundOfResult) };
    if (standing) before.push(standing);
    untold ??= answered;
    standing = answered;
    tell.answered(answered, first);
    if (first || asked.filter !== mapped) askForMap();
  } catch (error) {
    if (!signal.aborted) tell.failed(error, first);
  }
}

/** The sounds after those that stand. */
export async function askForMore() {
  if (!standing?.answer.next || !sending) return;
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const from = standing;
  try {
    const parameters = parametersOf(from.question);
    parameters.set("cursor", from.answer.next ?? "");
    const { blob } = await sending;
    /** @type {Answer} */
    const answer = await sendPicture(addressOf("recommend", parameters), blob, signal);
    const sounds = [...from.sounds, ...answer.results.map(soundOfResult)];
    standing = { ...from, answer: { ...from.answer, next: answer.next }, sounds };
    tell.continued(standing, from.sounds.length);
  } catch (error) {
    if (!signal.aborted) tell.notContinued(error);
  }
}

/** What is where in the picture. */
export async function askForMap() {
  if (!sending) return;
  mapping?.abort();
  mapping = new AbortController();
  const { signal } = mapping;
  try {
    mapped = question.filter;
    const parameters = new URLSearchParams(filterParameters(mapped));
    const { blob } = await sending;
    tell.mapped(await sendPicture(addressOf("recommend/map", parameters), blob, signal));
  } catch (error) {
    if (!signal.aborted) tell.notMapped(error);
  }
}

/**
 * @param {string} path
 * @param {URLSearchParams} parameters
 */
function addressOf(path, parameters) {
  return parameters.size ? `${path}?${parameters}` : path;
}
