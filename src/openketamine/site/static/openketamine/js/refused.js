// A refusal is brought to whoever asked: into view, and read out, on however small a screen.

/** Show the refusal within an element, or the first field that is wrong; false where nothing is. */
export function showRefusal(within = document) {
  const wrong = within.querySelector(".form-errors:not([data-unsent])");
  const found = wrong ?? within.querySelector("[aria-invalid=true]");
  if (!found) return false;
  for (let box = found.parentElement; box; box = box.parentElement) if (box.matches("details")) box.open = true;
  found.focus({ preventScroll: true });
  const about = found === wrong ? found : found.closest(".field, fieldset") ?? found;
  about.scrollIntoView({ block: "nearest" });
  return true;
}

if (!document.getElementById("sheet")) showRefusal();
