// The confusion matrix: a cell leads to its photos.
import { useRef, useState } from "preact/hooks";
import { classes, evaluation } from "./data.js";
import { count, counted, percent, visible } from "./text.js";

const WHOLE = 30; // classes that are shown all; of more, those that are mistaken most often
const REDUCED = 20;
const LIST = 12;

/** The classes to show: all, or those of the most frequent mistakes, in the model's order. */
function shownClasses() {
  if (classes.length <= WHOLE) return classes.map((_, at) => at);
  const found = new Set();
  for (const [truth, said] of evaluation.cells) {
    const needed = [truth, said].filter((at) => !found.has(at));
    if (found.size === REDUCED) break;
    if (found.size + needed.length > REDUCED) continue;
    for (const at of needed) found.add(at);
  }
  return [...found].sort((a, b) => a - b);
}

export function Mistakes({ onCell }) {
  const wrong = evaluation.cells.length > 0;
  return (
    <section aria-labelledby="mistakes">
      <h2 id="mistakes">Mistakes</h2>
      {!wrong && <p class="note">No photo of known class is wrong.</p>}
      <div class="columns uneven">
        <Matrix onCell={onCell} />
        {wrong && <Pairs onCell={onCell} />}
      </div>
    </section>
  );
}

function Matrix({ onCell }) {
  const [hidden, setHidden] = useState(false);
  const [active, setActive] = useState("0 0");
  const body = useRef();
  const shown = shownClasses();
  if (shown.length === 0) return null;
  const numbers = new Map(evaluation.cells.map(([truth, said, number]) => [`${truth} ${said}`, number]));
  const most = Math.max(1, ...evaluation.cells.map((cell) => cell[2]));
  const number = (truth, said) => (truth === said ? (hidden ? 0 : evaluation.right[truth]) : (numbers.get(`${truth} ${said}`) ?? 0));
  const move = (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [row, column] = active.split(" ").map(Number);
    const kept = (at) => Math.min(shown.length - 1, Math.max(0, at));
    const next = `${kept(row + step[0])} ${kept(column + step[1])}`;
    setActive(next);
    body.current.querySelector(`[data-cell="${next}"]`).focus();
  };
  return (
    <div>
      <div class="bar-above">
        <h3>Confusion matrix{shown.length < classes.length && `: ${shown.length} of ${count(classes.length)} classes, those mistaken most often`}</h3>
        <label class="check"><input type="checkbox" checked={hidden} onChange={(event) => setHidden(event.currentTarget.checked)} /> Hide the diagonal</label>
      </div>
      <div class="scroll matrix-room" tabIndex="-1">
        <table class="matrix" role="grid" aria-label="Confusion matrix: rows are the true class, columns what the model said" onKeyDown={move} ref={body} style={{ "--cell": shown.length > 12 ? "34px" : "52px" }}>
          <thead>
            <tr role="row">
              <td class="corner"><span>true</span> <span aria-hidden="true">{"\u2193"}</span> said <span aria-hidden="true">{"\u2192"}</span></td>
              {shown.map((at) => <th scope="col" role="columnheader" key={at} title={visible(classes[at])}><span>{visible(classes[at])}</span></th>)}
            </tr>
          </thead>
          <tbody>
            {shown.map((truth, row) => (
              <tr role="row" key={truth}>
                <th scope="row" role="rowheader" title={visible(classes[truth])}><span>{visible(classes[truth])}</span></th>
                {shown.map((said, column) => {
                  const here = number(truth, said);
                  const of = evaluation.per_class[truth].photos;
                  const right = truth === said;
                  const share = right ? (of ? here / of : 0) : Math.sqrt(here / most);
                  const cell = `${row} ${column}`;
                  return (
                    <td role="gridcell" key={said}>
                      <button type="button" data-cell={cell} tabIndex={cell === active ? 0 : -1} class={right ? "right" : "wrong"} aria-disabled={here === 0} style={{ "--share": here ? 0.06 + share * 0.44 : 0 }}
                        title={`${visible(classes[truth])}, said ${visible(classes[said])}: ${count(here)}${of ? ` (${percent(here / of)})` : ""}`}
                        aria-label={`true ${visible(classes[truth])}, said ${visible(classes[said])}: ${counted(here, "photo")}`}
                        onFocus={() => setActive(cell)} onClick={() => here && onCell(truth, said)}>
                        {here ? count(here) : ""}
                      </button>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Pairs({ onCell }) {
  const [all, setAll] = useState(false);
  const shown = evaluation.cells.slice(0, all ? 200 : LIST);
  return (
    <div>
      <h3>Most frequent mistakes</h3>
      <ol class="mistakes">
        {shown.map(([truth, said, number]) => (
          <li key={`${truth} ${said}`}>
            <button type="button" class="link" onClick={() => onCell(truth, said)}>
              <bdi>{visible(classes[truth])}</bdi> taken for <bdi>{visible(classes[said])}</bdi>
            </button>
            <span class="number">{count(number)}</span>
          </li>
        ))}
      </ol>
      {evaluation.pairs > LIST && (
        <button type="button" onClick={() => setAll(!all)}>{all ? "Show fewer" : `Show ${count(Math.min(200, evaluation.cells.length))} of ${count(evaluation.pairs)}`}</button>
      )}
    </div>
  );
}
