// The page of scene-batch serve: sends photos, shows answers, takes corrections.

const SHOWN = 500; // answers that are kept on the page, beside photos that still wait
const AT_ONCE = 2; // requests under way
const ATTEMPTS = 6; // while the server has too much to do
const MOST_BARS = 6;
const REFRESH_SECONDS = 5;

const element = (id) => document.getElementById(id);
const percent = (share) => `${(share * 100).toFixed(1)} %`;
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

let classes = [];
let takesCorrections = false;
const waiting = [];
let underWay = 0;

async function ask(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(path, options);
    const values = await answer.json();
    if (answer.ok) return values;
    if (answer.status !== 503 || attempt === ATTEMPTS) {
      throw new Error(values.error?.message ?? `HTTP ${answer.status}`);
    }
    await pause(Number(answer.headers.get("Retry-After") ?? 1));
  }
}

function form(photo, fields = {}) {
  const body = new FormData();
  body.append("file", photo);
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  return { method: "POST", body };
}

function take(files) {
  const photos = [...files];
  if (!photos.length) return;
  for (const photo of photos) waiting.push({ photo, item: addAnswer(photo) });
  say(`${photos.length} photo${photos.length === 1 ? "" : "s"} sent`);
  next();
}

function next() {
  while (underWay < AT_ONCE && waiting.length) {
    const { photo, item } = waiting.shift();
    underWay += 1;
    classify(photo, item).finally(() => {
      underWay -= 1;
      next();
    });
  }
}

async function classify(photo, item) {
  try {
    await ready;
    const bars = Math.min(MOST_BARS, classes.length || 1);
    show(item, photo, await ask(`/predict?top_k=${bars}`, form(photo)));
  } catch (error) {
    const place = item.querySelector(".error");
    place.textContent = error.message;
    place.hidden = false;
    item.querySelector("h3").textContent = `${photo.name}: no answer`;
    say(`${photo.name}: no answer`);
  }
  item.classList.add("done");
  forgetOld();
  refresh();
}

function addAnswer(photo) {
  const item = element("answer").content.cloneNode(true).querySelector("li");
  const image = item.querySelector("img");
  image.src = URL.createObjectURL(photo);
  image.alt = photo.name;
  item.querySelector("h3").textContent = `${photo.name}: …`;
  element("answers-section").hidden = false;
  element("answers").prepend(item);
  return item;
}

function forgetOld() {
  for (const old of [...document.querySelectorAll(".answer.done")].slice(SHOWN)) {
    URL.revokeObjectURL(old.querySelector("img").src);
    old.remove();
  }
}

function show(item, photo, answer) {
  const title = `${answer.class}, ${percent(answer.probability)}`;
  item.querySelector("h3").textContent = title;
  item.querySelector("img").alt = `${photo.name}: ${title}`;
  for (const { class: name, prob } of answer.top_k) {
    const bar = document.createElement("progress");
    bar.value = prob;
    bar.setAttribute("aria-label", name);
    const line = document.createElement("li");
    line.append(span(name), bar, span(percent(prob)));
    item.querySelector(".bars").append(line);
  }
  if (takesCorrections) offerCorrection(item, photo, answer.class);
  say(`${photo.name}: ${title}`);
}

function offerCorrection(item, photo, said) {
  const place = item.querySelector("form");
  const choice = place.querySelector("select");
  for (const name of classes) choice.append(new Option(name, name, false, name === said));
  place.hidden = false;
  place.addEventListener("submit", async (event) => {
    event.preventDefault();
    const status = place.querySelector("[role=status]");
    try {
      showCorrections(await ask("/corrections", form(photo, { class: choice.value })));
      status.textContent = `Saved as ${choice.value}`;
    } catch (error) {
      status.textContent = error.message;
    }
  });
}

function showCorrections({ count, enough }) {
  element("corrections").hidden = false;
  const rest = enough - count;
  element("corrections-count").textContent =
    rest > 0
      ? `${count} stored; ${rest} more and training is worth it.`
      : `${count} stored: enough for scene-batch train --from RUN --add DIR.`;
}

function span(text) {
  const made = document.createElement("span");
  made.textContent = text;
  return made;
}

function say(text) {
  element("said").textContent = text;
}

function fill(place, values) {
  place.replaceChildren();
  for (const [name, value] of Object.entries(values)) {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    place.append(term, text);
  }
}

function inWords(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const [unit, size] = units.find(([, length]) => seconds >= length) ?? units[3];
  return `${Math.floor(seconds / size)} ${unit}`;
}

async function refresh() {
  try {
    const stats = await ask("/stats");
    const { median, p95 } = stats.latency_ms;
    takesCorrections = stats.corrections !== null;
    if (takesCorrections) showCorrections(stats.corrections);
    fill(element("stats"), {
      "Up for": inWords(stats.uptime_seconds),
      "Photos answered": stats.photos.ok,
      Unreadable: stats.photos.unreadable,
      Refused: stats.refused,
      Latency: median === null ? "none yet" : `${median} ms median, ${p95} ms at 95 %`,
    });
  } catch {
    fill(element("stats"), { State: "the server does not answer" });
  }
}

async function begin() {
  const card = await ask("/model");
  classes = card.classes;
  element("model").textContent = `${card.name} ${card.version}: ${classes.length} classes`;
  fill(element("card"), {
    Name: card.name,
    Version: card.version,
    Created: card.created,
    Precision: card.precision,
    Classes: classes.join(", "),
    Input: card.preprocess_in_words.input,
    "SHA-256": card.sha256,
  });
  await refresh();
  setInterval(refresh, REFRESH_SECONDS * 1000);
}

element("files").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = "";
});
const drop = element("drop");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));

async function beginInTheEnd() {
  for (;;) {
    try {
      return await begin();
    } catch (error) {
      say(`The server does not answer: ${error.message}`);
      await pause(REFRESH_SECONDS);
    }
  }
}
const ready = beginInTheEnd();
