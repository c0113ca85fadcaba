// The run: what came of it, where the time went, and the model.
import { data, evaluation } from "./data.js";
import { count, counted, moment, percent, seconds, visible } from "./text.js";

const { run } = data;

export function Summary({ onCode }) {
  const codes = Object.entries(data.unreadable);
  const unreadable = data.rows - data.ok;
  return (
    <section aria-labelledby="summary">
      <h2 id="summary">Summary</h2>
      <dl class="figures">
        <Figure name="Photos" value={count(data.rows)} more={`${count(data.ok)} readable`} />
        <Figure name="Unreadable" value={count(unreadable)} more={data.rows ? percent(unreadable / data.rows) : ""} />
        {evaluation && <Figure name="Accuracy" value={percent(evaluation.accuracy, 2)} more={`95 %: ${evaluation.accuracy_interval.map((v) => percent(v)).join(" to ")}`} />}
        {evaluation && <Figure name="Calibration error" value={evaluation.calibration_error.toFixed(4)} more={`on ${counted(evaluation.photos, "photo")}`} />}
        <Figure name="Speed" value={`${count(Math.round(run.photos_per_second))} /s`} more={`${seconds(run.seconds)} in all`} />
        <Figure name="Provider" value={run.provider} more={run.model.precision ?? ""} />
      </dl>
      {codes.length > 0 && (
        <p class="codes">
          <span>Unreadable:</span>
          {codes.map(([code, number]) => (
            <button type="button" class="chip" key={code} onClick={() => onCode(code)}>
              {code} <b>{count(number)}</b>
            </button>
          ))}
        </p>
      )}
      {evaluation && <LeftOut />}
      <div class="columns">
        <Stages />
        <Model />
      </div>
      <Settings />
    </section>
  );
}

const Figure = ({ name, value, more }) => (
  <div>
    <dt>{name}</dt>
    <dd class="value">{visible(value)}</dd>
    <dd class="more">{visible(more)}</dd>
  </div>
);

function LeftOut() {
  const parts = [];
  if (evaluation.truth_unknown) parts.push(`${counted(evaluation.truth_unknown, "photo")} of unknown class`);
  if (evaluation.others) {
    const named = evaluation.truth_other.slice(0, 8).map(([name, number]) => `${visible(name)} ${count(number)}`);
    const more = evaluation.others > 8 ? ` and ${count(evaluation.others - 8)} more` : "";
    parts.push(`photos of classes that the model does not know (${named.join(", ")}${more})`);
  }
  return parts.length > 0 && <p class="note">Not judged: {parts.join("; ")}.</p>;
}

function Stages() {
  const stages = Object.entries(run.stages ?? {});
  if (stages.length === 0) return null;
  return (
    <div>
      <h3>Where the time went</h3>
      <table class="stages">
        <thead>
          <tr><th scope="col">Stage</th><th scope="col">Busy</th><th scope="col" class="number">Threads</th><th scope="col" class="number">Busy s</th></tr>
        </thead>
        <tbody>
          {stages.map(([name, stage]) => {
            const share = stage.busy_seconds / Math.max(1e-9, stage.busy_seconds + stage.waiting_seconds);
            return (
              <tr key={name}>
                <th scope="row">{name}{name === run.bottleneck && <em> (bottleneck)</em>}</th>
                <td><Meter share={share} /> {percent(share, 0)}</td>
                <td class="number">{stage.threads}</td>
                <td class="number">{stage.busy_seconds.toFixed(1)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {run.hint && <p class="note">Faster with: {visible(run.hint)}</p>}
    </div>
  );
}

export const Meter = ({ share, kind = "" }) => (
  <svg class={`meter ${kind}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class="ground" width="100" height="8" />
    <rect width={Math.max(share > 0 ? 0.8 : 0, share * 100)} height="8" />
  </svg>
);

function Model() {
  const { card } = data;
  const { model } = run;
  return (
    <div>
      <h3>Model</h3>
      <dl class="pairs">
        <Pair name="name" value={model.name} />
        <Pair name="version" value={model.version} />
        <Pair name="precision" value={model.precision} />
        <Pair name="classes" value={count(data.classes.length)} />
        {card && <Pair name="created" value={moment(card.created)} />}
        {card && Object.entries(card.preprocess).map(([name, value]) => <Pair key={name} name={name} value={value} />)}
        <Pair name="sha256" value={model.sha256} />
      </dl>
      {card?.text && (
        <details>
          <summary>The model's card</summary>
          <pre tabIndex="0">{visibleLines(card.text)}</pre>
        </details>
      )}
    </div>
  );
}

const visibleLines = (text) => text.split("\n").map(visible).join("\n");

const Pair = ({ name, value }) =>
  value !== undefined && value !== null && value !== "" && (
    <div>
      <dt>{name}</dt>
      <dd>{visible(typeof value === "string" ? value : JSON.stringify(value))}</dd>
    </div>
  );

function Settings() {
  const { settings, versions, model, stages, ...rest } = run;
  return (
    <details>
      <summary>Settings and versions</summary>
      <div class="columns">
        <dl class="pairs">{Object.entries(settings ?? {}).map(([name, value]) => <Pair key={name} name={name} value={value} />)}</dl>
        <dl class="pairs">{Object.entries(rest).map(([name, value]) => <Pair key={name} name={name} value={value} />)}</dl>
        <dl class="pairs">{Object.entries(versions ?? {}).map(([name, value]) => <Pair key={name} name={name} value={value} />)}</dl>
      </div>
    </details>
  );
}
