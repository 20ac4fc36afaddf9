// Files that are saved on the person's machine.

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function saveBlob(blob, name) {
  const address = URL.createObjectURL(blob);
  saveAddress(address, name);
  // The browser has it by then.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/**
 * @param {string} address
 * @param {string} name
 */
export function saveAddress(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}
