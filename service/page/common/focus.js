// Where the keyboard stands is kept when what it stands on is drawn anew.

/**
 * A selector of what has the focus, by which its successor is found.
 * @returns {string}
 */
export function focused() {
  const now = document.activeElement;
  if (!(now instanceof HTMLElement) || now === document.body) return "";
  if (now.id) return `#${now.id}`;
  const row = now.closest(".result");
  if (row instanceof HTMLElement) return `.result[data-id="${row.dataset.id}"] [data-act="${now.dataset.act}"]`;
  return now.dataset.material ? `button[data-material="${now.dataset.material}"]` : "body";
}

/**
 * Focus what the selector names, if nothing is focused any more; where it is gone, something else.
 * @param {string} selector
 * @param {HTMLElement} otherwise
 */
export function focusAgain(selector, otherwise) {
  const now = document.activeElement;
  if (!selector || (now instanceof HTMLElement && now !== document.body && now.checkVisibility())) return;
  const successor = document.querySelector(selector);
  const isThere = successor instanceof HTMLElement && successor !== document.body && successor.checkVisibility();
  (isThere ? successor : otherwise).focus();
}
