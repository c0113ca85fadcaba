// One photo, large, with all that is known of it.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { className, classes, isWrong, said } from "./data.js";
import { corrections, useCorrections } from "./corrections.js";
import { Picture } from "./photo.jsx";
import { NUMBERED, keyOf } from "./review.js";
import { Meter } from "./summary.jsx";
import { bytes, count, moment, percent, visible } from "./text.js";

export function Viewer({ photo, at, total, turn, isPicking, onMove, onKey, onClose }) {
  useCorrections();
  const dialog = useRef();
  useLayoutEffect(() => { // before the next key comes
    dialog.current.showModal();
  }, []);
  useLayoutEffect(() => { // what had the focus may be gone, and the keys are the dialog's
    const { activeElement } = document;
    if (!isPicking && (!dialog.current.contains(activeElement) || activeElement.disabled)) dialog.current.focus();
  });
  const corrected = corrections.get(photo);
  const keys = (event) => {
    if (event.target.closest("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -1, PageDown: 1 }[event.key];
    if (step === undefined) return onKey(event);
    event.preventDefault();
    onMove(at + step);
  };
  return (
    <dialog class="viewer" ref={dialog} tabIndex="-1" aria-labelledby="photo-path" onClose={onClose} onKeyDown={keys}
      onClick={(event) => event.target === dialog.current && dialog.current.close()}>
      <div class="sheet">
        <div class="large"><Large photo={photo} key={photo.number} /></div>
        <div class="facts">
          <div class="bar-above">
            <span class="number">{count(at + 1)} of {count(total)}</span>
            <span>
              <button type="button" aria-label="Photo before" disabled={at === 0} onClick={() => onMove(at - 1)}>{"\u2190"}</button>{" "}
              <button type="button" aria-label="Next photo" disabled={at + 1 >= total} onClick={() => onMove(at + 1)}>{"\u2192"}</button>{" "}
              <button type="button" onClick={() => dialog.current.close()}>Close</button>
            </span>
          </div>
          <h2 id="photo-path"><bdi>{visible(photo.path)}</bdi></h2>
          <Facts photo={photo} corrected={corrected} />
          <h3>{corrected === undefined ? "Right class" : <>Right class: <bdi>{visible(corrected)}</bdi></>}</h3>
          <div class="choices">
            {classes.slice(0, NUMBERED).map((name, index) => (
              <button type="button" key={name} aria-pressed={corrected === name} onClick={() => turn.set(name)}>
                <kbd>{keyOf(index)}</kbd> <bdi>{visible(name)}</bdi>
              </button>
            ))}
            <button type="button" onClick={() => turn.pick("")}>Another{"\u2026"}</button>
            {corrected !== undefined && <button type="button" onClick={() => corrections.set(photo, undefined)}>Take back</button>}
          </div>
        </div>
      </div>
    </dialog>
  );
}

function Facts({ photo, corrected }) {
  return (
    <>
      {photo.error !== undefined && <p class="mark wrong">Unreadable: {visible(photo.error)}</p>}
      {photo.top && (
        <table class="top">
          <caption class="hidden">The most probable classes</caption>
          <tbody>
            {photo.top.map(([index, probability]) => (
              <tr key={index}>
                <th scope="row"><bdi>{visible(classes[index])}</bdi></th>
                <td><Meter share={probability} kind={photo.truth === index ? "true" : ""} /></td>
                <td class="number">{percent(probability, 2)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <dl class="pairs">
        {photo.truth !== undefined && <div><dt>true class</dt><dd class={isWrong(photo) ? "mark wrong" : ""}><bdi>{visible(className(photo.truth))}</bdi>{isWrong(photo) ? `, said ${visible(className(said(photo)))}` : ""}</dd></div>}
        <div><dt>row</dt><dd>{count(photo.number + 1)}</dd></div>
        {photo.size !== undefined && <div><dt>size</dt><dd>{bytes(photo.size)}</dd></div>}
        {photo.modified && <div><dt>modified</dt><dd>{moment(photo.modified)}</dd></div>}
        {photo.href && <div><dt>original</dt><dd><a href={photo.href} target="_blank" rel="noopener noreferrer">open</a></dd></div>}
      </dl>
    </>
  );
}

const isOnDisk = (href) => href !== undefined && !/^https?:/.test(href);
const SHOWN = /\.(jpe?g|png|webp|gif|bmp|avif)$/i;

/** The original where the page may read it from the disk, upon the thumbnail. */
function Large({ photo }) {
  const [isThere, setThere] = useState(false);
  const tries = photo.error === undefined && !photo.not_seen && isOnDisk(photo.href) && SHOWN.test(photo.path);
  return (
    <>
      {!isThere && <Picture photo={photo} />}
      {tries && <img class={isThere ? "" : "hidden"} src={photo.href} alt="" onLoad={() => setThere(true)} onError={() => setThere(false)} />}
    </>
  );
}
