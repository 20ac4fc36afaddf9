// Ways to give a picture: a file, the camera, paste, drop, an address, a sample.

import { getBlob } from "../api/api.js";
import { inWords } from "../api/problems.js";
import { find, isWriting } from "../common/dom.js";

const NOT_FROM_ELSEWHERE =
  "That is the address of a picture on another site, which a page may not read. " +
  "Save the picture and drop the file, or copy the picture itself and paste it.";
const NO_PICTURE = "There is no picture in that. Drop or paste a picture, or a file with one.";
const NO_ADDRESS = "That address does not lead to a picture.";

/**
 * @param {(file: File) => void} use
 * @param {(words: string) => void} refuse
 */
export function startIntake(use, refuse) {
  for (const input of document.querySelectorAll("input[type=file]")) {
    if (!(input instanceof HTMLInputElement)) continue;
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) use(file);
      input.value = ""; // so that the same file can be chosen again
    });
  }

  for (const sample of document.querySelectorAll(".sample")) {
    sample.addEventListener("click", async () => {
      const shown = find("img", HTMLImageElement, sample);
      try {
        const blob = await getBlob(shown.src);
        use(new File([blob], `${shown.alt}.webp`, { type: blob.type }));
      } catch (error) {
        refuse(inWords(error));
      }
    });
  }

  document.addEventListener("paste", (event) => {
    if (event.target instanceof HTMLInputElement && event.target.type !== "file") return;
    if (!event.clipboardData) return;
    event.preventDefault();
    take(event.clipboardData, use, refuse);
  });

  document.addEventListener("dragover", (event) => {
    const types = event.dataTransfer?.types ?? [];
    // What is dragged out of this page is not dropped into it.
    if (types.includes("application/x-thud") || !(types.includes("Files") || types.includes("text/uri-list")))
      return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });

  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });

  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dragging");
    if (!event.dataTransfer || event.dataTransfer.types.includes("application/x-thud")) return;
    // Words that are dropped into a field are for the field.
    if (isWriting(event.target) && !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    take(event.dataTransfer, use, refuse);
  });
}

/**
 * @param {DataTransfer} given
 * @param {(file: File) => void} use
 * @param {(words: string) => void} refuse
 */
async function take(given, use, refuse) {
  // A picture that is dragged from another page may come as a file beside its address.
  const files = [...given.files];
  const file = files.find((one) => one.type.startsWith("image/")) ?? files[0];
  if (file) {
    use(file);
    return;
  }
  const address = addressGiven(given);
  if (!address) {
    refuse(NO_PICTURE);
    return;
  }
  try {
    use(await fileAt(address));
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error));
  }
}

/**
 * The address of a picture in what was dropped or pasted, "" where there is none.
 * @param {DataTransfer} given
 */
function addressGiven(given) {
  const html = new DOMParser().parseFromString(given.getData("text/html"), "text/html");
  const shown = html.querySelector("img[src]")?.getAttribute("src") ?? "";
  const listed = given.getData("text/uri-list").split(/\r?\n/);
  const text = given.getData("text/plain").trim();
  const addresses = [shown, ...listed.filter((line) => !line.startsWith("#")), text];
  return addresses.find((one) => /^(https?:|data:image\/)\S+$/i.test(one)) ?? "";
}

/**
 * The picture at the address. Throws an Error whose message is for the person.
 * @param {string} address
 */
async function fileAt(address) {
  if (/^data:/i.test(address)) return fileInAddress(address);
  if (new URL(address).origin !== location.origin) throw new Error(NOT_FROM_ELSEWHERE);
  const blob = await getBlob(address).catch((error) => {
    throw new Error(inWords(error));
  });
  if (!blob.type.startsWith("image/")) throw new Error(NO_ADDRESS);
  return new File([blob], new URL(address).pathname.split("/").at(-1) || "picture", { type: blob.type });
}

/**
 * The picture that a data address is. The policy of the page lets nothing fetch one.
 * @param {string} address
 */
function fileInAddress(address) {
  const [, type = "", encoded = ""] = /^data:([^;,]+);base64,(.*)$/i.exec(address) ?? [];
  try {
    const bytes = Uint8Array.from(atob(encoded), (sign) => sign.charCodeAt(0));
    if (bytes.length) return new File([bytes], "picture", { type });
  } catch {
    // As below.
  }
  throw new Error(NO_ADDRESS);
}
