// What of the photos is shown, and in which order.
import { NO_FILTER, ORDERS, classes, data, hasTruth, photos, code } from "./data.js";
import { count, visible } from "./text.js";

const present = (key) => {
  const found = new Set(photos.map(key).filter((at) => typeof at === "number"));
  return [...found].sort((a, b) => (classes[a] < classes[b] ? -1 : 1));
};
const SAID = present((photo) => photo.top?.[0][0]);
const TRUE = hasTruth ? present((photo) => photo.truth) : [];
const CODES = [...new Set(photos.map(code).filter(Boolean))].sort();

export function Filters({ filter, setFilter, shown }) {
  const change = (key) => (event) => setFilter({ ...filter, [key]: event.currentTarget.value });
  const isChanged = Object.keys(NO_FILTER).some((key) => filter[key] !== NO_FILTER[key]);
  return (
    <form class="filters" role="search" aria-label="Photos" onSubmit={(event) => event.preventDefault()}>
      <Choice name="Status" value={filter.status} onChange={change("status")}>
        <option value="all">all</option>
        {hasTruth && <option value="wrong">wrong</option>}
        {hasTruth && <option value="right">right</option>}
        {CODES.length > 0 && <option value="readable">readable</option>}
        {CODES.length > 0 && <option value="unreadable">unreadable</option>}
        {CODES.map((name) => <option key={name} value={`code ${name}`}>unreadable: {name}</option>)}
        <option value="corrected">corrected here</option>
        <option value="open">not corrected here</option>
      </Choice>
      <Choice name="Class said" value={filter.said} onChange={change("said")}>
        <option value="">any</option>
        {SAID.map((at) => <option key={at} value={String(at)}>{visible(classes[at])}</option>)}
      </Choice>
      {hasTruth && (
        <Choice name="True class" value={filter.truth} onChange={change("truth")}>
          <option value="">any</option>
          {TRUE.map((at) => <option key={at} value={String(at)}>{visible(classes[at])}</option>)}
        </Choice>
      )}
      <label class="pair">
        <span>From, %</span>
        <input aria-label="Probability from, in percent" type="number" min="0" max="100" step="any" inputmode="decimal" value={filter.from} onInput={change("from")} />
      </label>
      <label class="pair">
        <span>To, %</span>
        <input aria-label="Probability to, in percent" type="number" min="0" max="100" step="any" inputmode="decimal" value={filter.to} onInput={change("to")} />
      </label>
      <label class="grow">
        <span>Path contains</span>
        <input type="search" value={filter.text} spellcheck={false} onInput={change("text")} />
      </label>
      <Choice name="Order" value={filter.order} onChange={change("order")}>
        {Object.entries(ORDERS).map(([key, order]) => <option key={key} value={key}>{order.name}</option>)}
      </Choice>
      <button type="button" disabled={!isChanged} onClick={() => setFilter(NO_FILTER)}>Reset</button>
      <output aria-live="polite">{count(shown)} of {count(photos.length)} shown</output>
    </form>
  );
}

const Choice = ({ name, value, onChange, children }) => (
  <label>
    <span>{name}</span>
    <select value={value} onChange={onChange}>{children}</select>
  </label>
);
