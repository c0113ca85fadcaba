// The classes: how many photos, how probable, and how good where that is known.
import { useState } from "preact/hooks";
import { Coverage, Histogram, Reliability, Spark } from "./charts.jsx";
import { classes, data, evaluation } from "./data.js";
import { Meter } from "./summary.jsx";
import { count, percent, visible } from "./text.js";

const FEW = 30;

const COLUMNS = [
  { key: "name", name: "Class", value: (at) => classes[at], up: true },
  { key: "said", name: "Photos", value: (at) => data.counts[at] },
  ...(evaluation
    ? [
        ["precision", "Precision"],
        ["recall", "Recall"],
        ["f1", "F1"],
      ].map(([key, name]) => ({ key, name, up: true, value: (at) => evaluation.per_class[at][key] }))
    : []),
];

function compared({ key, reverse }) {
  const { value } = COLUMNS.find((column) => column.key === key);
  return (a, b) => {
    const [one, other] = [value(a), value(b)];
    const sign = one < other ? -1 : one > other ? 1 : a - b;
    return reverse ? -sign : sign;
  };
}

export function Classes({ onPick, onRange }) {
  const [order, setOrder] = useState({ key: "said", reverse: true });
  const [all, setAll] = useState(false);
  if (data.ok === 0) {
    return (
      <section aria-labelledby="classes">
        <h2 id="classes">Classes</h2>
        <p class="note">{data.rows === 0 ? "The table has no rows." : "No photo could be read, so none has a class."}</p>
      </section>
    );
  }
  const used = classes.map((_, at) => at).filter((at) => data.counts[at] || evaluation?.per_class[at].photos);
  const sorted = used.sort(compared(order));
  const shown = all ? sorted : sorted.slice(0, FEW);
  const most = Math.max(...data.counts);
  const total = data.histograms.reduce((sum, bins) => sum.map((n, at) => n + bins[at]), Array(data.histograms[0].length).fill(0));
  const sortBy = (column) =>
    setOrder(order.key === column.key ? { ...order, reverse: !order.reverse } : { key: column.key, reverse: !column.up });
  return (
    <section aria-labelledby="classes">
      <h2 id="classes">Classes</h2>
      <div class="charts">
        <figure>
          <figcaption>Probability of all photos{evaluation ? ", wrong ones in red" : ""}</figcaption>
          <Histogram bins={total} wrong={evaluation && data.wrong_by_probability} onPick={onRange} />
        </figure>
        {evaluation && (
          <figure>
            <figcaption>Reliability: right, by probability</figcaption>
            <Reliability bins={evaluation.reliability} />
          </figure>
        )}
        {evaluation && (
          <figure>
            <figcaption>Coverage: right among the surest</figcaption>
            <Coverage curve={evaluation.curve} marks={evaluation.coverage} />
          </figure>
        )}
      </div>
      {evaluation && <Figures />}
      <div class="scroll" tabIndex="0" role="group" aria-label="Table of classes">
        <table class="classes">
          <thead>
            <tr>
              {COLUMNS.map((column) => (
                <th scope="col" key={column.key} class={column.key === "name" ? "" : "number"} aria-sort={order.key !== column.key ? undefined : order.reverse ? "descending" : "ascending"}>
                  <button type="button" onClick={() => sortBy(column)}>{column.name}<span aria-hidden="true">{order.key !== column.key ? "" : order.reverse ? " \u2193" : " \u2191"}</span></button>
                </th>
              ))}
              <th scope="col">Share</th>
              <th scope="col">Probability, 0 to 100 %</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((at) => (
              <tr key={at}>
                <th scope="row"><button type="button" class="link" onClick={() => onPick(at)}>{visible(classes[at])}</button></th>
                <td class="number">{count(data.counts[at])}</td>
                {evaluation && ["precision", "recall", "f1"].map((key) => <td class="number" key={key}>{evaluation.per_class[at][key].toFixed(3)}</td>)}
                <td><Meter share={data.counts[at] / most} /> {percent(data.counts[at] / data.ok)}</td>
                <td><Spark bins={data.histograms[at]} name={visible(classes[at])} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sorted.length > FEW && (
        <button type="button" onClick={() => setAll(!all)}>{all ? `Show ${FEW}` : `Show all ${count(sorted.length)}`}</button>
      )}
      {used.length < classes.length && <p class="note">{count(classes.length - used.length)} of {count(classes.length)} classes have no photo.</p>}
    </section>
  );
}

function Figures() {
  const { macro, weighted, log_loss, brier, top_k_accuracy } = evaluation;
  const rows = [
    ...["2", "3", "5", "10"].filter((k) => top_k_accuracy[k] !== undefined && Number(k) < classes.length).map((k) => [`Top-${k} accuracy`, percent(top_k_accuracy[k], 2)]),
    ["F1, macro", macro.f1.toFixed(4)],
    ["F1, weighted", weighted.f1.toFixed(4)],
    ...(log_loss === null ? [] : [["Log loss", log_loss.toFixed(4)], ["Brier score", brier.toFixed(4)]]),
    ...evaluation.coverage.map((mark) => [
      `${percent(mark.accuracy)} right`,
      mark.min_probability === null ? "at no probability" : `from ${percent(mark.min_probability, 2)} on: ${percent(mark.coverage)} of the photos`,
    ]),
  ];
  return (
    <dl class="pairs wide">
      {rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}
