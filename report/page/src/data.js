// The data of the page, and what follows from it.

export const data = JSON.parse(document.getElementById("data").textContent);
export const { classes, evaluation, photos } = data;
export const rows = data.rows;

/** What is wrong or right with a photo: a class index, a class of another name, or nothing. */
export const said = (photo) => photo.top?.[0][0];
export const probability = (photo) => photo.top?.[0][1];
export const isJudged = (photo) => photo.top !== undefined && typeof photo.truth === "number";
export const isWrong = (photo) => isJudged(photo) && photo.truth !== said(photo);
export const code = (photo) => photo.error?.split(": ", 1)[0];
export const className = (at) => (typeof at === "number" ? classes[at] : at);
export const hasTruth = evaluation !== null;

/** Wrong ones, the surest mistakes first; then the others, the least sure first. */
function suspicion(a, b) {
  const [wrongA, wrongB] = [isWrong(a), isWrong(b)];
  if (wrongA !== wrongB) return wrongA ? -1 : 1;
  if (wrongA) return probability(b) - probability(a);
  return (probability(a) ?? 2) - (probability(b) ?? 2);
}
const byPath = (a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);

export const ORDERS = {
  suspicion: { name: hasTruth ? "Wrong first, then least sure" : "Least sure first", compare: suspicion },
  least: { name: "Least sure first", compare: (a, b) => (probability(a) ?? 2) - (probability(b) ?? 2) },
  most: { name: "Most sure first", compare: (a, b) => (probability(b) ?? -1) - (probability(a) ?? -1) },
  path: { name: "By path", compare: byPath },
  table: { name: "As in the table", compare: () => 0 },
};
if (!hasTruth) delete ORDERS.least;

export const NO_FILTER = {
  said: "", truth: "", status: "all", from: "", to: "", text: "", order: "suspicion",
};

const STATUS = {
  all: () => true,
  wrong: isWrong,
  right: (photo) => isJudged(photo) && !isWrong(photo),
  readable: (photo) => photo.top !== undefined,
  unreadable: (photo) => photo.error !== undefined,
};

/** The photos that a filter leaves, in its order; `corrections` by photo. */
export function select(filter, corrections) {
  const test = STATUS[filter.status];
  const from = filter.from === "" ? -Infinity : filter.from / 100 - 1e-9;
  const to = filter.to === "" ? Infinity : filter.to / 100 + 1e-9;
  const ranged = filter.from !== "" || filter.to !== "";
  const text = filter.text.toLowerCase();
  const kept = photos.filter((photo) => {
    if (filter.said !== "" && said(photo) !== Number(filter.said)) return false;
    if (filter.truth !== "" && photo.truth !== Number(filter.truth)) return false;
    if (filter.status === "corrected") { if (!corrections.has(photo)) return false; }
    else if (filter.status === "open") { if (corrections.has(photo)) return false; }
    else if (filter.status.startsWith("code ")) { if (code(photo) !== filter.status.slice(5)) return false; }
    else if (!test(photo)) return false;
    const sure = probability(photo);
    if (ranged && !(sure >= from && sure <= to)) return false;
    return text === "" || photo.path.toLowerCase().includes(text);
  });
  return kept.sort(ORDERS[filter.order].compare);
}
