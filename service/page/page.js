// Takes a picture, asks the service for sounds that fit it, shows them and plays them.

const MORE = 10;
const MATERIALS_SHOWN = 5;
const MOST_WAITS = 2; // how often, and how long each time, the page waits when the service asks it to
const LONGEST_WAIT = 10; // seconds
const LEAST_SHOWN = 0.05; // a material that is less likely says nothing to a person

const find = (selector) => document.querySelector(selector);
const main = find("#main");
const chooser = find(".chooser");
const answer = find(".answer");
const heading = find("#answer-title");
const note = find("#answer-note");
const problem = find(".problem");
const materials = find(".materials");
const unrecognised = find("#unrecognised");
const results = find(".results");
const preview = find("#preview");
const previewMissing = find("#preview-missing");
const player = find("#player");
const announcer = find("#status");

let picture = null; // the File that is shown
let shown = []; // the results on the page, best first
let request = null; // the AbortController of the request under way
let sounding = null; // the list item whose sound is loaded in the player

// States: empty, loading, results, error

function setState(state) {
  main.dataset.state = state;
  chooser.hidden = state !== "empty";
  answer.hidden = state === "empty";
  problem.hidden = state !== "error";
  if (state !== "results") materials.hidden = true;
  find(".results-foot").hidden = state !== "results";
}

function announce(text) {
  announcer.textContent = text;
}

function startOver() {
  request?.abort();
  stop();
  clearResults();
  setState("empty");
  announce("");
  find("#file").focus();
}

function usePicture(file) {
  if (!file) return;
  stop();
  picture = file;
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  preview.hidden = false;
  previewMissing.hidden = true;
  clearResults();
  ask();
}

async function ask(k) {
  request?.abort();
  request = new AbortController();
  const { signal } = request;
  if (!k) {
    setState("loading");
    heading.textContent = "Listening to your picture…";
    note.textContent = "";
    heading.focus();
  }
  let response, body;
  try {
    for (let patience = MOST_WAITS; ; patience--) {
      response = await fetch(k ? `recommend?k=${k}` : "recommend", {
        method: "POST",
        // The service looks at the content, not at what the file calls itself.
        headers: { "Content-Type": "application/octet-stream" },
        body: picture,
        signal,
      });
      body = await response.json().catch(() => null);
      const seconds = Number(response.headers.get("Retry-After"));
      const busy = response.status === 429 || response.status === 503;
      if (!busy || !patience || !(seconds > 0 && seconds <= LONGEST_WAIT)) break;
      note.textContent = `${problemTitle(response.status)}. Trying again in ${seconds} s.`;
      announce(note.textContent);
      await pause(1000 * (seconds + Math.random())); // not all that were refused at once
      if (signal.aborted) return;
      note.textContent = "";
    }
  } catch {
    if (signal.aborted) return;
    fail(k, "The service cannot be reached", "Check that it is running and that you are connected, then try again.", true);
    return;
  }
  if (signal.aborted) return;
  if (response.ok && body) showResults(body);
  else fail(k, problemTitle(response.status), body?.detail ?? `The answer was ${response.status} ${response.statusText}.`, response.status >= 500 || response.status === 429);
}

function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

function fail(k, title, detail, mayRetry) {
  if (!k) {
    showProblem(title, detail, mayRetry);
    return;
  }
  // More sounds could not be had; those on the page stay.
  note.textContent = `${title}. ${sentence(detail)}`;
  announce(note.textContent);
}

function problemTitle(status) {
  if (status === 413) return "That picture is too large";
  if (status === 415) return "That file cannot be read as a picture";
  if (status === 429) return "That was too often";
  if (status === 503) return "The service cannot answer now";
  if (status >= 500) return "Something went wrong";
  return "That picture cannot be used";
}

function showProblem(title, detail, mayRetry) {
  setState("error");
  clearResults();
  heading.textContent = title;
  note.textContent = "";
  find("#problem-detail").textContent = sentence(detail);
  find("#retry").hidden = !mayRetry;
  announce(`${title}. ${sentence(detail)}`);
  heading.focus();
}

function showResults(body) {
  const before = shown.length;
  shown = body.results;
  results.append(...shown.slice(before).map(resultItem));
  const seen = showMaterials(body);
  setState("results");
  heading.textContent = shown.length === 1 ? "1 sound" : `${shown.length} sounds`;
  note.textContent = `Best first, out of ${body.library.toLocaleString("en")}.`;
  const focused = before ? results.children[before]?.querySelector(".play") : heading;
  focused?.focus();
  find("#more").hidden = shown.length >= body.library || shown.length < body.k;
  const found = shown.length ? `${heading.textContent} found. The best is ${described(shown[0])}.` : "No sounds found.";
  announce(before || !seen ? found : `${seen} ${found}`);
}

// Materials

// Returns the same in a sentence; it is empty where the service cannot tell materials.
function showMaterials(body) {
  const likely = (body.materials ?? []).filter((one) => one.probability >= LEAST_SHOWN).slice(0, MATERIALS_SHOWN);
  unrecognised.hidden = body.recognised !== false;
  find(".likeliest").replaceChildren(...likely.map(materialItem));
  const objects = find("#objects");
  const seen = (body.objects ?? []).map((one) => `${one.name} ${percent(one.probability)}`).join(", ");
  objects.textContent = `Objects: ${seen}.`;
  objects.hidden = !seen;
  materials.hidden = unrecognised.hidden && objects.hidden && !likely.length;
  if (materials.hidden) return "";
  const said = unrecognised.hidden
    ? likely.length ? `In the picture: ${likely.map((one) => `${one.name} ${percent(one.probability)}`).join(", ")}.` : ""
    : unrecognised.textContent;
  return [said, seen && objects.textContent].filter(Boolean).map(spoken).join(" ");
}

function materialItem({ name, probability }) {
  const item = find("#likely").content.firstElementChild.cloneNode(true);
  item.querySelector(".name").textContent = name;
  item.querySelector(".bar").style.setProperty("--share", probability);
  item.querySelector(".percent").textContent = percent(probability);
  return item;
}

// Whole percent, which never claim that something is certain or impossible.
function percent(probability) {
  if (probability < 0.01) return "<1%";
  return probability > 0.99 ? ">99%" : `${Math.round(100 * probability)}%`;
}

function spoken(shown) {
  return shown.replaceAll("<", "under ").replaceAll(">", "over ");
}

// Results

function resultItem(result) {
  const item = find("#result").content.firstElementChild.cloneNode(true);
  const part = (name) => item.querySelector(`.${name}`);
  part("title").textContent = result.title;
  part("material").textContent = result.material?.name ?? "no material given";
  part("material").classList.toggle("unknown", !result.material);
  part("object").textContent = result.object ? `names: ${result.object}` : "";
  part("seconds").textContent = `${result.duration.toFixed(result.duration < 10 ? 2 : 0)} s`;
  const [name, number, share] = rating(result);
  part("score-name").textContent = name;
  part("score-number").textContent = number;
  part("score").title = `Cosine similarity ${result.similarity.toFixed(3)}`;
  part("bar").style.setProperty("--share", share);
  part("download").href = result.url;
  part("download").setAttribute("aria-label", `Download sound ${result.rank}: ${result.title}`);
  part("download").title = "Download";
  part("play").addEventListener("click", () => toggle(item));
  item.result = result;
  labelPlay(item);
  return item;
}

// How well a sound fits: its match where the service can tell materials, else its score.
function rating({ match, score }) {
  return match === null ? ["score", score.toFixed(2), score] : ["match", percent(match), match];
}

function described(result) {
  const [name, number] = rating(result);
  return [result.material?.name, result.title, `${name} ${spoken(number)}`].filter(Boolean).join(", ");
}

function labelPlay(item) {
  const verb = "sounding" in item.dataset ? "Pause" : "Play";
  item.querySelector(".play").setAttribute("aria-label", `${verb} sound ${item.result.rank}: ${described(item.result)}`);
}

function clearResults() {
  shown = [];
  results.replaceChildren();
}

// Playing: one player, so one sound at a time

async function toggle(item) {
  if (sounding === item && !player.paused) {
    player.pause();
    return;
  }
  if (sounding !== item) {
    stop();
    sounding = item;
    player.src = item.result.url;
  }
  item.querySelector(".trouble").textContent = "";
  try {
    await player.play();
  } catch (error) {
    // AbortError: another sound was started before this one had begun.
    if (error.name !== "AbortError" && sounding === item) playFailed(item);
  }
}

async function playFailed(item) {
  const response = await fetch(item.result.url, { method: "GET", headers: { Range: "bytes=0-0" } }).catch(() => null);
  const body = response?.ok === false ? await response.json().catch(() => null) : null;
  const reason = body?.detail ? sentence(body.detail) : "This sound cannot be played here.";
  item.querySelector(".trouble").textContent = reason;
  announce(reason);
  stop();
}

function stop() {
  if (!sounding) return;
  const item = sounding;
  player.pause();
  player.removeAttribute("src");
  player.load();
  sounding = null;
  setSounding(item, false);
}

function setSounding(item, on) {
  if (on) item.dataset.sounding = "";
  else delete item.dataset.sounding;
  labelPlay(item);
  if (on) requestAnimationFrame(drawProgress);
  else drawProgress();
}

function drawProgress() {
  for (const item of results.children) {
    const played = item === sounding && player.duration ? player.currentTime / player.duration : 0;
    item.style.setProperty("--played", played);
  }
  if (sounding && !player.paused) requestAnimationFrame(drawProgress);
}

player.addEventListener("playing", () => sounding && setSounding(sounding, true));
player.addEventListener("pause", () => sounding && setSounding(sounding, false));
player.addEventListener("ended", () => stop());

// Ways to give a picture

for (const input of [find("#file"), find("#camera")]) {
  input.addEventListener("change", () => {
    usePicture(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
}

preview.addEventListener("error", () => {
  preview.hidden = true;
  previewMissing.hidden = false;
  previewMissing.textContent = picture.name;
});

document.addEventListener("paste", (event) => {
  const file = event.clipboardData?.files[0];
  if (!file) return;
  event.preventDefault();
  usePicture(file);
});

document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});

document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});

document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  usePicture(event.dataTransfer?.files[0]);
});

for (const button of document.querySelectorAll(".another")) button.addEventListener("click", startOver);

// Single keys get in the way of speech input, so they can be turned off, and stay off.
const keys = find("#keys");
try {
  keys.checked = localStorage.getItem("keys") !== "off";
} catch {
  // Storage can be forbidden; the choice then lasts as long as the page.
}
keys.addEventListener("change", () => {
  try {
    localStorage.setItem("keys", keys.checked ? "on" : "off");
  } catch {
    // As above.
  }
});

find("#retry").addEventListener("click", () => ask());
find("#more").addEventListener("click", () => ask(shown.length + MORE));

// Keys: 1 to 9 and 0 play the first ten, Escape stops

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") stop();
  if (!keys.checked || !/^[0-9]$/.test(event.key)) return;
  const item = results.children[event.key === "0" ? 9 : Number(event.key) - 1];
  if (!item) return;
  item.scrollIntoView({ block: "nearest" });
  toggle(item);
});

function sentence(text) {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
