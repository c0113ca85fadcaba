// The page: draws what `scene-batch report` has written into it.
import { render } from "preact";
import { useRef, useState } from "preact/hooks";
import { Classes } from "./classes.jsx";
import { NO_FILTER, data, hasTruth } from "./data.js";
import { Bar, Gallery } from "./gallery.jsx";
import { Mistakes } from "./matrix.jsx";
import { Summary } from "./summary.jsx";
import { counted, fileName, moment, visible } from "./text.js";

function Page() {
  const [filter, setFilter] = useState(NO_FILTER);
  const asked = useRef(false);
  /** Shows some photos, wherever on the page somebody asked for them. */
  const show = (change) => {
    asked.current = true;
    setFilter({ ...NO_FILTER, ...change });
  };
  const within = (share) => String(Math.round(share * 1000) / 10);
  return (
    <>
      <a class="skip" href="#photos">To the photos</a>
      <header>
        <h1><bdi>{visible(fileName(data.table))}</bdi></h1>
        <p class="note">{counted(data.rows, "row")} of <bdi>{visible(data.table)}</bdi>, run {moment(data.run.started_at)}; page of {moment(data.made)}</p>
        <nav aria-label="Sections">
          <a href="#summary">Summary</a>
          <a href="#classes">Classes</a>
          {hasTruth && <a href="#mistakes">Mistakes</a>}
          <a href="#photos">Photos</a>
        </nav>
      </header>
      <main>
        <Summary onCode={(code) => show({ status: `code ${code}` })} />
        <Classes onPick={(at) => show({ said: String(at) })} onRange={(from, to) => show({ from: within(from), to: within(to) })} />
        {hasTruth && <Mistakes onCell={(truth, said) => show({ truth: String(truth), said: String(said) })} />}
        <Gallery filter={filter} setFilter={setFilter} asked={asked} />
      </main>
      <Bar />
      <footer>
        <p class="note">Made by scene-batch {data.version}. This page asks no network for anything.{!hasTruth && " Where the classes are known, --truth says how good the model is."}</p>
      </footer>
    </>
  );
}

document.title = `${visible(fileName(data.table))} \u2013 scene-batch report`;
render(<Page />, document.getElementById("page"));
