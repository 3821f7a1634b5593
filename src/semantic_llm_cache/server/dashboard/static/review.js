// Near hits to check, and near misses: two prompts side by side, with the words that differ marked.
import { get, send } from "./api.js";
import { byId, empty, h, passage, say } from "./dom.js";
import { age, money, percent, similarity } from "./format.js";
import { tryThreshold } from "./threshold.js";
import { differences } from "./words.js";

const PAGE = 6;
const HIDDEN = "Prompts are hidden on this server.";

let reported = () => {};
/** Tell the list what to do after a report. */
export const onReport = (work) => (reported = work);

// ---------------------------------------------------------------------------- pairs

function marked(pieces) {
  return pieces.map(([text, differs]) => (differs ? h("mark", null, text) : text));
}

function sides(event, second) {
  const [left, right] = [event.prompt, event.matched_prompt];
  if (left === null) return h("p", { class: "about" }, HIDDEN);
  const [a, b] = right === null ? [[[left, false]], [["not kept", false]]] : differences(left, right);
  const words = (pieces) => pieces.filter(([text, differs]) => differs && text.trim()).map(([text]) => text).join(", ") || "nothing";
  return h("div", { class: "sides" },
    h("div", null, h("h4", null, "Asked"), passage("", marked(a))),
    h("div", null, h("h4", null, second), passage("", marked(b))),
    h("p", { class: "vh" }, `Different: ${words(a)} in place of ${words(b)}.`));
}

function about(event, more = []) {
  const parts = [
    `${age(Date.now() / 1000 - event.at)} ago`, event.namespace === "default" ? null : event.namespace, event.category, ...more,
  ].filter(Boolean);
  return h("p", { class: "meta" }, h("span", { class: "badge" }, h("span", { class: "vh" }, "Similarity "), similarity(event.similarity)), " ",
    parts.join(" · "));
}

const short = (text) => (text === null ? "this call" : text.length > 60 ? `${text.slice(0, 60)}…` : text);

// ---------------------------------------------------------------------------- near hits

const done = new Set();
let shown = [];
let waiting = [];
let most = PAGE;

/** Show near hits. What is new is not put above what somebody reads: a button offers it. */
export function drawHits({ nearHits }) {
  const open = nearHits.lookups.filter((one) => !one.verdict && !done.has(one.id));
  const known = new Set(shown.map((one) => one.id));
  const there = new Set(open.map((one) => one.id));
  const fresh = open.filter((one) => !known.has(one.id));
  const gone = shown.filter((one) => !there.has(one.id));
  if (!shown.length || gone.length) {
    shown = shown.length ? shown.filter((one) => there.has(one.id)) : open;
    waiting = shown.length && known.size ? fresh : [];
    list(nearHits);
  } else if (fresh.length !== waiting.length || !fresh.every((one, i) => one.id === waiting[i].id)) {
    waiting = fresh;
    offer();
  } else if (!byId("near-hits").firstChild) list(nearHits);
}

/** Forget what is shown, as when another namespace is chosen. */
export function forget() {
  shown = [];
  waiting = [];
  most = PAGE;
}

let latest = null;
function list(nearHits = latest) {
  latest = nearHits;
  const place = byId("near-hits");
  if (!shown.length && !waiting.length) {
    place.replaceChildren(nearHits.lookups.length
      ? empty("All checked.", "New near hits show here as they come.")
      : empty("No near hits yet.",
        "Give the cache a similarity= below 1, such as 0.95: prompts that ask the same in other words are hits then."));
    return;
  }
  const rest = shown.length - most;
  place.replaceChildren(
    h("p", { id: "newer" }),
    h("ol", { class: "pairs" }, shown.slice(0, most).map((event) => card(event))),
    rest > 0 ? h("button", { type: "button", onclick: () => { most += PAGE; list(); } }, `Show ${Math.min(PAGE, rest)} more of ${rest}`) : "");
  offer();
}

function offer() {
  const place = byId("newer");
  if (!place) return;
  place.replaceChildren(waiting.length ? h("button", { type: "button", onclick: () => {
    shown = [...waiting, ...shown];
    waiting = [];
    list();
  } }, `Show ${waiting.length} newer`) : "");
}

const cards = new Map();

function card(event) {
  if (cards.has(event.id)) return cards.get(event.id);
  const button = (verdict, text) => h("button", { type: "button", class: `verdict ${verdict}-one`, "aria-label": `${text}: ${short(event.prompt)}`,
    onclick: (click) => report(event, verdict, click.currentTarget) }, text);
  const would = event.would ? [`would be a hit (shadow mode)${event.would_be_right === false ? ", with another answer" : ""}`] : [];
  const saved = event.saved_usd ? [`saved ${money(event.saved_usd)}`] : [];
  const stored = event.age === null ? [] : [`stored ${age(event.age)} before`];
  const made = h("li", { class: "pair", "data-id": event.id },
    about(event, [...stored, ...saved, ...would]),
    sides(event, "Answered as"),
    answer(event),
    h("div", { class: "buttons" }, button("wrong", "Wrong"), button("right", "Right")));
  cards.set(event.id, made);
  if (cards.size > 400) cards.delete(cards.keys().next().value);
  return made;
}

function answer(event) {
  if (!event.entry_key || event.prompt === null) return null;
  const text = passage("", "Loading");
  let asked = false;
  return h("details", { class: "answer", ontoggle: async () => {
    if (asked) return;
    asked = true;
    try {
      const entry = await get(`entries/${encodeURIComponent(event.entry_key)}`);
      text.textContent = entry.answer || "This answer has no text: see the admin API.";
    } catch (error) {
      text.textContent = error.message;
    }
  } }, h("summary", null, "The stored answer"), text);
}

async function report(event, verdict, button) {
  const item = button.closest("li");
  for (const one of item.querySelectorAll("button")) one.disabled = true;
  try {
    const { outcome } = await send("POST", "reports", { lookup: event.id, verdict });
    const next = item.nextElementSibling || item.previousElementSibling;
    const place = next ? next.querySelector(`button.${verdict}-one`) : null;
    done.add(event.id);
    shown = shown.filter((one) => one.id !== event.id);
    cards.delete(event.id);
    list();
    (place && place.isConnected ? place : byId("review-title")).focus();
    say(RESULTS[outcome] || `Reported: ${outcome}.`);
    reported();
  } catch (error) {
    for (const one of item.querySelectorAll("button")) one.disabled = false;
    say(error.message, true);
  }
}

const RESULTS = {
  evicted: "Wrong: the stored answer is deleted. The next such prompt calls the model.",
  aliased: "Right: the prompt is kept as another wording of the stored one.",
  counted: "Right: counted.",
  gone: "Counted. The stored answer was already gone.",
  replaced: "Counted. A newer answer is stored since, and was left alone.",
};

// ---------------------------------------------------------------------------- near misses

let last = "";

/** How much a near miss speaks for a lower threshold: both answers say the same, that is not known, they do not. */
const worth = ({ agree }) => (agree === null ? 1 : agree >= 0.5 ? 2 : 0);

function agreement(agree) {
  if (agree === null) return null;
  return `both answers say the same: ${percent(agree, 0)} likely`;
}

/** Show near misses that no guard objects to: first those where both answers say the same, the nearest first. */
export function drawMisses({ nearMisses, caches }) {
  const key = JSON.stringify([nearMisses.lookups.map((one) => one.id), caches.map((one) => one.current.similarity)]);
  const place = byId("near-misses");
  if (key === last && place.firstChild) return;
  if (place.contains(document.activeElement)) return;
  last = key;
  const found = [...nearMisses.lookups].sort((a, b) => worth(b) - worth(a) || b.similarity - a.similarity);
  if (!found.length) {
    place.replaceChildren(empty("None.", "Misses that only the threshold kept from being hits show here."));
    return;
  }
  let most = PAGE;
  const draw = () => {
    const rest = found.length - most;
    place.replaceChildren(
      h("ol", { class: "pairs" }, found.slice(0, most).map(miss)),
      rest > 0 ? h("button", { type: "button", onclick: () => { most += PAGE; draw(); } }, `Show ${Math.min(PAGE, rest)} more of ${rest}`) : "");
  };
  draw();
}

function miss(event) {
  const at = Math.floor(event.similarity * 200 + 1e-6) / 200;
  return h("li", { class: "pair" }, about(event, [agreement(event.agree)]),
    sides(event, "Nearest stored"),
    h("div", { class: "buttons" }, h("button", { type: "button", "aria-label": `Try ${at.toFixed(3)}: ${short(event.prompt)}`,
      onclick: () => tryThreshold(at) }, `Try ${at.toFixed(3)}`)));
}
