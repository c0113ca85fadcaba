// The gallery: the photos that a filter leaves, to be looked at and corrected.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { classes, data, photos, select } from "./data.js";
import { corrections, useCorrections } from "./corrections.js";
import { Filters } from "./filters.jsx";
import { Grid } from "./grid.jsx";
import { Picker } from "./picker.jsx";
import { NUMBERED, keyOf, reviewKey } from "./review.js";
import { counted, visible } from "./text.js";
import { Viewer } from "./viewer.jsx";

export function Gallery({ filter, setFilter, asked }) {
  // What is corrected stays where it is until the filter changes.
  const shown = useMemo(() => select(filter, corrections), [filter]);
  const [cursor, setCursor] = useState({ filter, at: 0 });
  const active = cursor.filter === filter ? cursor.at : 0;
  const setActive = (at) => setCursor({ filter, at });
  const [open, setOpen] = useState(false);
  const [begin, setBegin] = useState(null);
  const [news, setNews] = useState("");
  const focus = useRef(false);
  if (asked.current) focus.current = true;
  useEffect(() => {
    if (asked.current) document.getElementById("photos").scrollIntoView();
    asked.current = false;
  }, [filter]);
  const at = Math.min(active, Math.max(0, shown.length - 1));
  const go = (next) => {
    if (next < 0 || next >= shown.length) return;
    focus.current = !open;
    setActive(next);
  };
  corrections.onUndo = (photo) => go(shown.indexOf(photo));
  const turn = {
    photo: shown[at],
    set(name) {
      corrections.set(turn.photo, name);
      const isLast = at + 1 >= shown.length;
      setNews(`${name}. ${isLast ? "That was the last photo." : `Photo ${at + 2} of ${shown.length}`}`);
      if (!isLast) go(at + 1);
    },
    pick: setBegin,
  };
  const onKey = (event) => reviewKey(event, turn);
  return (
    <section aria-labelledby="photos">
      <h2 id="photos">Photos</h2>
      <p class="note">Shown here: {data.how}.</p>
      {photos.length > 0 && <Filters filter={filter} setFilter={setFilter} shown={shown.length} />}
      {photos.length > 0 && <Keys />}
      {shown.length > 0 ? (
        <Grid photos={shown} active={at} setActive={(index) => open || setActive(index)} focus={focus} onKey={onKey} onOpen={(index) => { setActive(index); setOpen(true); }} />
      ) : (
        <p class="empty">{photos.length > 0 ? "No photo of this page fits: reset the filter, or make the page with more --photos." : "No photos in this page."}</p>
      )}
      {open && shown[at] && (
        <Viewer photo={shown[at]} at={at} total={shown.length} turn={turn} isPicking={begin !== null} onMove={go} onKey={onKey} onClose={() => { focus.current = true; setOpen(false); }} />
      )}
      {begin !== null && turn.photo && (
        <Picker begin={begin} of={turn.photo.path} onClose={() => { setBegin(null); focus.current = !open; }}
          onPick={(name) => { setBegin(null); turn.set(name); focus.current = !open; }} />
      )}
      <p class="hidden" role="status">{visible(news)}</p>
    </section>
  );
}

function Keys() {
  return (
    <details class="keys">
      <summary>Correct by keyboard</summary>
      <p>
        Move with the arrows. Give a photo its right class with a digit or the first letters of the class, and the next one comes:
      </p>
      <p class="choices">
        {classes.slice(0, NUMBERED).map((name, index) => <span key={name}><kbd>{keyOf(index)}</kbd> <bdi>{visible(name)}</bdi></span>)}
        <span><kbd>a</kbd>{"\u2026"}<kbd>z</kbd> type a class, or a new one</span>
        <span><kbd>Space</kbd> right as it is</span>
        <span><kbd>Backspace</kbd> take back</span>
        <span><kbd>Enter</kbd> large</span>
        <span><kbd>Ctrl</kbd> <kbd>S</kbd> save</span>
        <span><kbd>Ctrl</kbd> <kbd>Z</kbd> undo</span>
      </p>
    </details>
  );
}

/** How many corrections there are, and what becomes of them. */
export function Bar() {
  useCorrections();
  useEffect(() => {
    const keys = (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      if (event.key === "s" && corrections.canSave) corrections.save();
      else if (event.key === "z" && !event.target.closest("input")) corrections.undo();
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", keys);
    return () => window.removeEventListener("keydown", keys);
  }, []);
  if (!corrections.canUndo && corrections.size === 0) return null;
  return (
    <aside class="save" aria-label="Corrections">
      <span aria-live="polite">{counted(corrections.size, "photo")} with a right class{corrections.isSaved ? ", saved" : ""}</span>
      <button type="button" disabled={!corrections.canUndo} onClick={() => corrections.undo()}>Undo</button>
      <button type="button" class="main" disabled={!corrections.canSave} onClick={() => corrections.save()}>Save corrections</button>
    </aside>
  );
}
