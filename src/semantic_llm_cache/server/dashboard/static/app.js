// Loads the figures and has the panels drawn: what changes fast every 5 seconds, the rest every minute.
import { get, Refused } from "./api.js";
import { byId, h } from "./dom.js";
import { clock } from "./format.js";
import * as lists from "./lists.js";
import * as review from "./review.js";
import * as threshold from "./threshold.js";
import * as traffic from "./traffic.js";

const FAST = 5000;
const SLOW = 60000;
const SEVERAL = "Several processes answer in turn, or the server was started again. Each shows its own calls; totals and entries are of all.";

const chosen = { namespace: "", minutes: 60 };
const data = {};
let paused = false;
let slowAt = 0;
let loading = Promise.resolve();
let busy = 0;
const workers = new Set();

// ---------------------------------------------------------------------------- loading

async function fast() {
  const { namespace, minutes } = chosen;
  const step = traffic.STEPS[minutes];
  const double = 2 * minutes <= 1440 ? get("traffic", { minutes: 2 * minutes, step, namespace }) : null;
  const [stats, calls, twice, nearHits, notStored, settings, audit] = await Promise.all([
    get("stats", { namespace }), get("traffic", { minutes, step, namespace }), double,
    get("near-hits", { limit: 50, namespace }),
    get("not-stored", { namespace }), get("settings"),
    get("audit", { limit: 50 }),
  ]);
  return { stats, traffic: calls, double: twice, nearHits, notStored, caches: settings.caches, audit };
}

/** What looks through the stored answers, and so takes longer. */
async function slow() {
  const { namespace } = chosen;
  const [entries, scopes, backends, nearMisses] = await Promise.all([
    get("entries", { namespace, sort: lists.sorted(), limit: 15 }), get("scopes", { namespace, limit: 30 }), get("backends"),
    get("near-misses", { limit: 50, namespace, worth: true, compare: true, at_least: threshold.LOWEST }),
  ]);
  return { entries, scopes, backends, nearMisses };
}

/** Load and draw, after what is being loaded; `all` includes what changes slowly. */
function load(all = false) {
  busy++;
  loading = loading.then(() => once(all)).finally(() => busy--);
  return loading;
}

/** Load if the page is looked at, and nothing is being loaded. */
function again() {
  if (!paused && !document.hidden && !busy) load();
}

async function once(all) {
  const asked = { ...chosen };
  try {
    const whole = all || Date.now() - slowAt > SLOW;
    const found = await Promise.all([fast(), whole ? slow() : {}]);
    if (asked.namespace !== chosen.namespace || asked.minutes !== chosen.minutes) return; // another load follows
    if (whole) slowAt = Date.now();
    Object.assign(data, ...found, asked);
    show();
    await threshold.draw(data);
    document.documentElement.dataset.ready = "yes";
    trouble("");
  } catch (error) {
    trouble(error instanceof Refused ? error.message : `${error.message} Trying again.`);
  }
}

function trouble(text) {
  const place = byId("problem");
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
  byId("state").classList.toggle("bad", Boolean(text));
  if (text) byId("state-text").textContent = "Not up to date";
}

// ---------------------------------------------------------------------------- showing

function show() {
  const { stats } = data;
  byId("state-text").textContent = `${stats.live ? "Live" : "Stored answers only"} · ${paused ? "paused" : "updated"} ${clock(Date.now() / 1000, true)}`;
  document.body.dataset.live = stats.live ? "yes" : "no";
  workers.add(stats.worker);
  const hint = stats.hint || (workers.size > 1 ? SEVERAL : "");
  byId("hint").hidden = !hint;
  byId("hint").textContent = hint;
  byId("worker").textContent = stats.worker;
  namespaces();
  traffic.tiles(data);
  traffic.draw(data);
  review.drawHits(data);
  review.drawMisses(data);
  lists.drawReasons(data);
  lists.drawAudit(data);
  lists.drawEntries(data);
  lists.drawScopes(data);
  lists.drawBackends(data);
}

function namespaces() {
  const select = byId("namespace");
  const known = [...select.options].map((one) => one.value);
  for (const name of new Set([...Object.keys(data.stats.total), ...data.traffic.namespaces])) {
    if (!known.includes(name)) select.append(h("option", { value: name }, name));
  }
}

// ---------------------------------------------------------------------------- controls

const THEMES = ["system", "light", "dark"];

function themes() {
  const button = byId("theme");
  const root = document.documentElement;
  const tell = () => (button.textContent = `Theme: ${root.dataset.theme}`);
  button.addEventListener("click", () => {
    root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    try {
      localStorage.setItem("semantic-llm-cache-theme", root.dataset.theme);
    } catch {
      // not kept
    }
    tell();
  });
  tell();
}

function controls() {
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("namespace").addEventListener("change", (event) => {
    chosen.namespace = event.target.value;
    review.forget();
    load(true);
  });
  byId("minutes").addEventListener("change", (event) => {
    chosen.minutes = Number(event.target.value);
    load();
  });
  byId("pause").addEventListener("click", (event) => {
    paused = !paused;
    event.target.textContent = paused ? "Go on" : "Pause";
    if (!paused) load(true);
  });
}

themes();
controls();
threshold.onChange(() => load(true));
review.onReport(() => load(true));
lists.onEntries(() => load(true));
load(true);
setInterval(again, FAST);
document.addEventListener("visibilitychange", again);
