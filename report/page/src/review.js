// The keys that give a photo its right class, the same in the gallery and in the large view.
import { classes, said } from "./data.js";
import { corrections } from "./corrections.js";

export const NUMBERED = 10;

/** The class of a digit: 1 to 9, and 0 for the tenth. */
export const keyOf = (at) => (at < 9 ? String(at + 1) : at === 9 ? "0" : "");
const classOfKey = (key) => classes[key === "0" ? 9 : Number(key) - 1];

const takesText = (target) => target.closest("input, select, textarea") !== null;
const isButton = (target) => target.closest("button:not([data-photo]), a, summary") !== null;

/**
 * Handles a key of a photo; says whether it did.
 * `turn` has `photo`, `set(name)`, which goes on to the next, and `pick(text)`, which asks.
 */
export function reviewKey(event, turn) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  const { key, target } = event;
  if (takesText(target) || turn.photo === undefined) return false;
  if (key === " ") {
    if (isButton(target)) return false;
    const at = said(turn.photo);
    if (at !== undefined) turn.set(classes[at]);
  } else if (key === "Backspace" || key === "Delete") {
    corrections.set(turn.photo, undefined);
  } else if (/^[0-9]$/.test(key)) {
    const name = classOfKey(key);
    if (name === undefined) turn.pick(key);
    else turn.set(name);
  } else if ([...key].length === 1) {
    turn.pick(key);
  } else {
    return false;
  }
  event.preventDefault();
  return true;
}
