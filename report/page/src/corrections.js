// The right classes that a person has given: in memory alone, until they are saved.
import { useEffect, useState } from "preact/hooks";

const classOf = new Map(); // photo to class name
let past = []; // [photo, class name before or undefined]
let steps = 0; // how many times anything has changed
let saved = 0; // how long `past` was when it was saved last
const watchers = new Set();

function tell() {
  steps += 1;
  for (const watcher of watchers) watcher();
}

function set(photo, name) {
  if (name === undefined) classOf.delete(photo);
  else classOf.set(photo, name);
}

export const corrections = {
  get: (photo) => classOf.get(photo),
  has: (photo) => classOf.has(photo),
  get steps() { return steps; },
  get size() { return classOf.size; },
  get canUndo() { return past.length > 0; },
  get isSaved() { return past.length === saved; },
  /** Also when the last one of a saved file was taken back. */
  get canSave() { return classOf.size > 0 || past.length !== saved; },
  set(photo, name) {
    if (classOf.get(photo) === name) return;
    past.push([photo, classOf.get(photo)]);
    set(photo, name);
    tell();
  },
  /** Is told of the photo whose last step was taken back. */
  onUndo: () => {},
  undo() {
    const step = past.pop();
    if (step === undefined) return;
    set(...step);
    if (past.length < saved) saved = -1;
    tell();
    corrections.onUndo(step[0]);
  },
  /** Hands the corrections to the browser as corrections.csv. */
  save() {
    const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = "corrections.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    saved = past.length;
    tell();
  },
};

/** RFC 4180; a text is quoted where it must be, and never altered. */
const field = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function csv() {
  const lines = [...classOf].sort(([a], [b]) => a.number - b.number);
  return ["path,class", ...lines.map(([photo, name]) => `${field(photo.path)},${field(name)}`), ""].join("\r\n");
}

/** Draws a component anew whenever a correction is made. */
export function useCorrections() {
  const [, redraw] = useState({});
  useEffect(() => {
    const watcher = () => redraw({});
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  return corrections;
}

window.addEventListener("beforeunload", (event) => {
  if (!corrections.isSaved) event.preventDefault();
});
