// Asks for a class by its first letters; one that the model does not know can be typed.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { classes } from "./data.js";
import { visible } from "./text.js";

const MOST = 8;

/** The classes that begin with a text, then those that contain it. */
function matching(text) {
  const wanted = text.trim().toLowerCase();
  const begins = [];
  const contains = [];
  for (const name of classes) {
    const at = name.toLowerCase().indexOf(wanted);
    if (at === 0) begins.push(name);
    else if (at > 0) contains.push(name);
  }
  return [...begins, ...contains];
}

export function Picker({ begin, of, onPick, onClose }) {
  const dialog = useRef();
  const input = useRef();
  const [text, setText] = useState(begin);
  const [active, setActive] = useState(0);
  useLayoutEffect(() => { // before the next key comes
    dialog.current.showModal();
    input.current.focus();
    input.current.setSelectionRange(begin.length, begin.length);
  }, []);
  const found = matching(text);
  const options = found.slice(0, MOST).map((name) => ({ name, isNew: false }));
  const typed = text.trim();
  const isNew = typed !== "" && !classes.includes(typed) && !/[\u0000-\u001f\u007f]/.test(typed);
  if (isNew) options.push({ name: typed, isNew });
  const at = Math.min(active, options.length - 1);
  const pick = (option) => option && onPick(option.name);
  const onKeyDown = (event) => {
    event.stopPropagation();
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      setActive((at + step + options.length) % Math.max(1, options.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      pick(options[at]);
    }
  };
  return (
    <dialog class="picker" ref={dialog} aria-label={`Right class of ${visible(of)}`} onClose={onClose} onKeyDown={onKeyDown}
      onClick={(event) => event.target === dialog.current && dialog.current.close()}>
      <label for="right-class">Right class</label>
      <input id="right-class" ref={input} type="text" role="combobox" autocomplete="off" spellcheck={false} aria-expanded="true" aria-controls="classes-found" aria-autocomplete="list"
        aria-activedescendant={options.length ? `option-${at}` : undefined} value={text}
        onInput={(event) => { setText(event.currentTarget.value); setActive(0); }} />
      <ul id="classes-found" role="listbox" aria-label="Classes">
        {options.map((option, number) => (
          <li key={option.name} id={`option-${number}`} role="option" aria-selected={number === at} onClick={() => pick(option)}>
            <bdi>{visible(option.name)}</bdi>{option.isNew && <em> new class</em>}
          </li>
        ))}
      </ul>
      <p class="note" aria-live="polite">{found.length > MOST ? `${found.length - MOST} more: type on` : options.length === 0 ? "No class" : ""}</p>
    </dialog>
  );
}
