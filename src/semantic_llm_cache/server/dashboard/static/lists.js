// Why answers were not stored, entries, scopes, totals, backends, and the log.
import { get, send } from "./api.js";
import { close, open } from "./dialog.js";
import { byId, empty, h, passage, say, table } from "./dom.js";
import { age, count, duration, money, NONE, percent, when } from "./format.js";

const before = new Map();

/** Put content into a place, but leave it alone while somebody uses it, or if nothing has changed. */
function put(id, data, make) {
  const place = byId(id);
  const key = JSON.stringify(data);
  const used = document.activeElement;
  const kept = place.contains(used) ? used.id : "";
  if (before.get(id) === key || (place.contains(used) && before.has(id) && !kept)) return;
  before.set(id, key);
  place.replaceChildren(...[make()].flat());
  if (kept) byId(kept).focus(); // a control that is made again
}

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
}

// ---------------------------------------------------------------------------- not stored

export function drawReasons({ notStored }) {
  put("reasons", notStored, () => {
    const { reasons } = notStored;
    if (!reasons.length) return empty("Every answer was stored.", "Refusals, cut-off answers and the like would show here.");
    const most = Math.max(...reasons.map((one) => one.count));
    return table("Why answers were not stored", [
      { name: "Reason", cell: (one) => h("code", null, one.reason) },
      { name: "Meaning", wide: true, cell: (one) => [code(one.meaning), one.expected ? h("span", { class: "tag" }, "asked for") : ""] },
      { name: "Answers", right: true, cell: (one) => [count(one.count), h("meter", { min: 0, max: most, value: one.count, "aria-hidden": "true" })] },
    ], reasons);
  });
}

/** The meaning of a reason is a line of Markdown with code. */
function code(text) {
  return text.split("`").map((piece, i) => (i % 2 ? h("code", null, piece) : piece));
}

// ---------------------------------------------------------------------------- entries

const SORTS = { hits: "Most hits", cost: "Most expensive", used: "Last used", newest: "Newest", oldest: "Oldest" };
let sort = "hits";
let again = () => {};
export const onEntries = (load) => (again = load);
export const sorted = () => sort;

export function drawEntries({ entries, namespace }) {
  put("top-entries", [entries, namespace, sort], () => {
    if (!entries.entries.length) {
      return empty("Nothing is stored.", namespace ? "Choose another namespace."
        : "The first answer of a model is stored here. To fill a cache from a log: semantic-llm-cache warm LOG --db cache.db");
    }
    const choice = h("select", { id: "sort", onchange: (event) => {
      sort = event.target.value;
      again();
    } }, Object.entries(SORTS).map(([value, name]) => h("option", { value, selected: value === sort }, name)));
    const all = entries.complete ? `${count(entries.matching)} stored` : `more than ${count(entries.matching)} stored`;
    return [
      h("div", { class: "controls try" }, h("label", { class: "field" }, h("span", null, "Order"), choice), h("p", { class: "about" }, all)),
      table("Top entries", [
        { name: "Prompt", wide: true, cell: (one) => h("button", { type: "button", class: "link", dir: "auto", onclick: () => show(one) }, one.prompt === null ? one.key : one.prompt || "(no text)") },
        { name: "Hits", right: true, cell: (one) => count(one.hits) },
        { name: "Saved", right: true, optional: true, cell: (one) => (one.cost_usd ? money(one.cost_usd * one.hits) : NONE) },
        { name: "Model", optional: true, cell: (one) => one.model || NONE },
        { name: "Function", optional: true, cell: (one) => called(one.function) },
        { name: "Stored", right: true, cell: (one) => `${age(one.age)} ago` },
        { name: "Expires", right: true, cell: (one) => (one.expires_in === null ? "never" : one.expires_in > 0 ? `in ${age(one.expires_in)}` : "expired") },
      ], entries.entries, { classes: "entries" }),
    ];
  });
}

/** The name of a function without its module. */
function called(name) {
  return name ? h("span", { title: name }, name.split(".").at(-1)) : NONE;
}

async function show(line) {
  let entry;
  try {
    entry = await get(`entries/${encodeURIComponent(line.key)}`, { backend: line.backend });
  } catch (error) {
    say(error.message, true);
    again();
    return;
  }
  const text = (value) => (value === null ? "Hidden on this server." : value || "(no text)");
  const tags = entry.tags.filter((one) => !/^(function|model):/.test(one)); // these have facts of their own
  const answer = await open("Stored answer",
    h("h3", null, "Prompt"), passage("boxed", text(entry.prompt)),
    h("h3", null, "Answer"), passage("boxed", text(entry.answer)),
    facts([
      ["hits", count(entry.hits)], ["model", entry.model || NONE], ["function", entry.function || NONE], ["namespace", entry.namespace],
      ["scope", h("code", null, entry.scope)], ["tokens", `${count(entry.input_tokens)} in, ${count(entry.output_tokens)} out`],
      ["the call took", duration(entry.duration_ms)], ["it cost", entry.cost_usd === null ? NONE : money(entry.cost_usd)],
      ["stored", `${age(entry.age)} ago`], ...(tags.length ? [["tags", tags.join(", ")]] : []),
      ...(entry.aliases && entry.aliases.length ? [["other wordings", entry.aliases.join(" / ")]] : []),
    ]),
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "wrong-one", onclick: () => close("wrong") }, "Wrong: delete it"),
      h("button", { type: "button", class: "strong", onclick: () => close() }, "Close")));
  if (answer !== "wrong") return;
  try {
    await send("POST", "reports", { lookup: line.key, verdict: "wrong" });
    byId("entries-title").focus(); // its line will be gone
    say("Wrong: the stored answer is deleted.");
    again();
  } catch (error) {
    say(error.message, true);
  }
}

// ---------------------------------------------------------------------------- scopes, totals

export function drawScopes({ scopes, stats }) {
  put("scope-list", scopes, () => {
    const live = new Map(scopes.calls.map((one) => [`${one.namespace}\n${one.scope}`, one]));
    const stored = scopes.scopes.map((one) => ({ ...one, calls: live.get(`${one.namespace}\n${one.scope}`) }));
    const seen = new Set(stored.map((one) => `${one.namespace}\n${one.scope}`));
    const rows = [...stored, ...scopes.calls.filter((one) => !seen.has(`${one.namespace}\n${one.scope}`))
      .map((one) => ({ ...one, function: "", model: "", entries: 0, calls: one }))];
    if (!rows.length) return empty("No scopes yet.", "Each tenant, model and system prompt that stores an answer has a line here.");
    return table("Scopes by their stored answers and calls", [
      { name: "Scope", cell: (one) => h("code", null, one.scope) },
      { name: "Namespace", cell: (one) => one.namespace },
      { name: "Model", optional: true, cell: (one) => one.model || NONE },
      { name: "Function", optional: true, cell: (one) => called(one.function) },
      { name: "Entries", right: true, cell: (one) => count(one.entries) },
      { name: "Calls", right: true, optional: true, cell: (one) => (one.calls ? count(one.calls.requests) : NONE) },
      { name: "Hit rate", right: true, optional: true, cell: (one) => (one.calls ? percent(one.calls.hits / one.calls.requests, 0) : NONE) },
      { name: "Saved", right: true, optional: true, cell: (one) => (one.saved_usd ? money(one.saved_usd) : NONE) },
    ], rows.slice(0, 30));
  });
  put("totals", stats.total, () => {
    const rows = Object.entries(stats.total);
    if (!rows.length) return empty("Nothing is counted yet.", "Totals show here some seconds after the first call.");
    const value = (counts, name) => counts[name] || 0;
    return table("Totals by namespace", [
      { name: "Namespace", cell: ([name]) => name },
      { name: "Calls", right: true, cell: ([, one]) => count(value(one, "hits") + value(one, "misses")) },
      { name: "Hit rate", right: true, cell: ([, one]) => percent(value(one, "hits") / (value(one, "hits") + value(one, "misses") || 1)) },
      { name: "Money saved", right: true, cell: ([, one]) => money(value(one, "saved_usd")) },
      { name: "Time saved", right: true, cell: ([, one]) => duration(value(one, "saved_ms")) },
    ], rows);
  });
}

// ---------------------------------------------------------------------------- health, log

export function drawBackends({ backends }) {
  const found = backends.backends;
  put("backends", found.map((one) => ({ ...one, read_ms: 0 })), () => found.length ? found.map((one) => {
    const opened = Object.entries(one.breakers).filter(([, state]) => state === "open").map(([kind]) => kind);
    const good = one.works && !opened.length;
    return h("div", { class: "backend" },
      h("p", { class: "status" }, h("span", { class: `light ${good ? "good" : "bad"}`, "aria-hidden": "true" }, good ? "✓" : "!"),
        h("b", null, one.works ? (opened.length ? `Breaker open: ${opened.join(", ")}` : "Works") : "Fails"), " ", h("code", null, one.url)),
      one.error ? h("p", { class: "problem" }, one.error) : null,
      facts([["one read", duration(one.read_ms)],
        ...Object.entries(one.stats).map(([name, value]) => [name.replaceAll("_", " "), shown(value)])]));
  }) : empty("No backend.", "Name one: semantic-llm-cache dashboard --db cache.db"));
}

function shown(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "number" ? count(value) : value;
}

export function drawAudit({ audit }) {
  put("audit", audit.records, () => audit.records.length ? table("Changes, newest first", [
    { name: "When", cell: (one) => when(one.at) },
    { name: "Who", cell: (one) => one.who },
    { name: "What", cell: (one) => one.action },
    { name: "Of", wide: true, cell: (one) => h("span", { class: "clip" }, one.target) },
    { name: "From", cell: (one) => plain(one.old) },
    { name: "To", wide: true, cell: (one) => plain(one.new) },
  ], audit.records) : empty("No changes yet.", "Reports, changed thresholds, deletions and exports are kept here."));
}

function plain(value) {
  if (value === null || value === undefined) return NONE;
  if (typeof value !== "object") return `${value}`;
  return Object.entries(value).filter(([, one]) => one !== null).map(([name, one]) => `${name} ${typeof one === "object" ? JSON.stringify(one) : one}`).join(", ") || NONE;
}
