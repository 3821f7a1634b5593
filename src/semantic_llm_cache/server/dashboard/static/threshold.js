// The histogram of similarities, and what another threshold would change.
import { get, send } from "./api.js";
import { Histogram } from "./charts.js";
import { ask } from "./dialog.js";
import { byId, empty, h, say } from "./dom.js";
import { count } from "./format.js";

export const BINS = 200;
const STEP = 1 / BINS;
const WAIT = 120;
/** What is less alike is no candidate for a threshold. */
export const LOWEST = 0.6;

let panel = null;
let refresh = () => {};

/** Tell the panel how to load the page's figures again, after a change. */
export const onChange = (load) => (refresh = load);

/** Load what the panel shows, and draw it: the calls of one cache, as each has a threshold of its own. */
export async function draw({ caches, namespace }) {
  const usable = caches.filter((one) => !namespace || one.namespace === namespace);
  if (!usable.length) {
    panel = null;
    byId("similarities").replaceChildren(empty("No cache in use has this namespace.", "Choose another one."));
    return;
  }
  if (!panel) panel = new Panel(byId("similarities"));
  panel.choose(usable);
  await panel.load();
}

/** Move the threshold, as if it was dragged, and go there. */
export function tryThreshold(value) {
  if (!panel) return;
  panel.set(Math.floor(value / STEP + 1e-6) * STEP);
  panel.slider.focus();
  byId("threshold").scrollIntoView({ block: "start" });
}

class Panel {
  constructor(place) {
    this.plot = h("div");
    this.touched = false;
    this.slider = h("input", { type: "range", id: "slider", step: STEP, max: 1, "aria-describedby": "what-if",
      oninput: () => this.set(Number(this.slider.value)) });
    this.number = h("input", { type: "number", id: "threshold-number", step: STEP, min: 0, max: 1, inputmode: "decimal",
      onchange: () => {
        this.set(Math.min(1, Math.max(0, Number(this.number.value) || 0)));
        this.number.value = this.trial.toFixed(3);
      } });
    this.cache = h("select", { id: "threshold-cache", onchange: () => {
      this.reset();
      this.load().catch((error) => say(error.message, true));
    } });
    this.cacheField = h("label", { class: "field" }, h("span", null, "Cache"), this.cache);
    this.back = h("button", { type: "button", onclick: () => this.reset() }, "Back to current");
    this.apply = h("button", { type: "button", class: "strong", id: "apply", onclick: () => this.change() }, "Apply");
    this.result = h("div", { id: "what-if", class: "what-if", role: "status" });
    this.note = h("p", { class: "about" });
    place.replaceChildren(
      this.plot,
      h("div", { class: "controls try" }, this.cacheField,
        h("label", { class: "field" }, h("span", null, "Threshold to try"), this.number), this.back, this.apply),
      this.result, this.note);
    this.chart = new Histogram(this.plot, { height: 200, label: (data) => data.spoken });
    this.chart.plot.after(
      h("div", { class: "slider" }, h("label", { class: "vh", for: "slider" }, "Threshold to try"), this.slider));
    this.drag();
  }

  /** Let the line be dragged on the chart itself too. */
  drag() {
    const svg = this.chart.svg;
    const go = (event) => this.set(Math.min(1, Math.max(this.from, this.chart.value(event.offsetX))));
    svg.classList.add("drags");
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      go(event);
    });
    svg.addEventListener("pointermove", (event) => event.buttons && svg.hasPointerCapture(event.pointerId) && go(event));
  }

  /** Offer these caches. */
  choose(caches) {
    this.caches = new Map(caches.map((one) => [one.name, one]));
    const names = [...this.caches.keys()];
    if (names.join("\n") !== [...this.cache.options].map((one) => one.value).join("\n")) {
      this.cache.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
      this.touched = false;
    }
    this.cacheField.hidden = names.length < 2;
  }

  async load() {
    const asked = this.chosen();
    const data = await get("similarities", { bins: BINS, namespace: asked.namespace });
    if (asked.name === this.cache.value) this.show(data);
  }

  show(data) {
    const sum = (counts) => counts.reduce((total, one) => total + one, 0);
    const series = [
      { name: "Hit", kind: "near", counts: data.hit },
      { name: "Below the threshold", kind: "below", counts: data.below },
      { name: "Refused (guard, verifier, budget)", kind: "refused", counts: data.refused },
    ];
    const current = this.current();
    this.from = Math.max(0, Math.floor(Math.min(LOWEST, current - 0.1, this.touched ? this.trial : 1) * 10 + 1e-6) / 10);
    this.slider.min = this.from;
    if (!this.touched) this.trial = current;
    const outside = data.edges.findIndex((edge) => edge >= this.from - 1e-9);
    const hidden = series.reduce((total, one) => total + sum(one.counts.slice(0, outside)), 0);
    this.chart.key([...series.map((one) => ({ name: one.name, kind: one.kind, value: count(sum(one.counts)) })),
      { name: "Current threshold", kind: "now", mark: "stroke", value: current.toFixed(3) }]);
    this.chart.show({
      edges: data.edges, series, from: this.from, threshold: this.trial, current,
      caption: "Calls by their similarity to the nearest stored prompt",
      about: hidden ? `${count(hidden)} calls below ${this.from.toFixed(1)} are not drawn.` : "",
      spoken: `Similarities of ${count(series.reduce((total, one) => total + sum(one.counts), 0))} calls from `
        + `${this.from.toFixed(1)} to 1: ${series.map((one) => `${one.name} ${sum(one.counts)}`).join(", ")}. `
        + "The table below has each bin.",
    });
    this.set(this.trial, this.touched);
  }

  chosen() {
    return this.caches.get(this.cache.value);
  }

  current() {
    return this.chosen().current.similarity;
  }

  reset() {
    this.touched = false;
    this.set(this.current(), false);
  }

  set(value, touched = true) {
    this.touched = touched;
    this.trial = Number(value.toFixed(4));
    this.slider.value = this.trial;
    this.slider.setAttribute("aria-valuetext", this.trial.toFixed(3));
    if (document.activeElement !== this.number) this.number.value = this.trial.toFixed(3);
    this.chart.move(this.trial);
    const one = this.chosen();
    const same = Math.abs(one.current.similarity - this.trial) < 1e-9;
    const fixed = !one.changeable.includes("similarity");
    this.apply.hidden = fixed;
    this.apply.disabled = same;
    this.apply.textContent = `Apply ${this.trial.toFixed(3)} to ${one.name}`;
    this.back.disabled = same;
    this.note.hidden = !fixed;
    if (fixed) this.note.textContent = "This cache decides by an error budget or a verifier: its threshold cannot be changed.";
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.compare(), WAIT);
  }

  async compare() {
    const asked = this.trial;
    try {
      const found = await get("what-if", { similarity: asked, namespace: this.chosen().namespace });
      if (asked === this.trial) this.tell(found);
    } catch (error) {
      this.result.replaceChildren(h("p", { class: "problem" }, error.message));
    }
  }

  tell(found) {
    const current = this.current();
    const key = JSON.stringify([found, current]);
    if (key === this.told) return; // a status that is set again is read out again
    this.told = key;
    const figure = (value, text, kind) => h("p", { class: `outcome ${kind}` }, h("b", null, value), " ", text);
    const checked = found.checked
      ? `; of ${count(found.checked)} that the guards were asked about they let ${count(found.passed)} through` : "";
    const same = Math.abs(current - this.trial) < 1e-9;
    const at = same ? `At the current ${current.toFixed(3)}` : `At ${this.trial.toFixed(3)} instead of ${current.toFixed(3)}`;
    if (!found.compared) {
      this.result.replaceChildren(h("p", null, `${at}: no calls to compare with yet.`));
      return;
    }
    this.result.replaceChildren(
      h("p", null, `${at}, `
        + `of the last ${count(found.compared)} calls that were compared by meaning:`),
      figure(count(found.hits_lost), `of ${count(found.hits)} ${found.hits === 1 ? "hit" : "hits"} would be lost`, found.hits_lost ? "loses" : ""),
      figure(count(found.misses_above), `${found.misses_above === 1 ? "miss" : "misses"} would be above the threshold${checked}`, found.misses_above ? "gains" : ""));
  }

  async change() {
    const one = this.chosen();
    const value = this.trial;
    const sure = await ask(`Change the threshold of ${one.name}?`,
      `From ${one.current.similarity.toFixed(3)} to ${value.toFixed(3)}, in all processes on its backend, from the next call on. `
      + "The log of changes keeps it.", "Change it");
    if (!sure) return;
    try {
      await send("PATCH", `settings/${encodeURIComponent(one.name)}`, { similarity: value });
      say(`The threshold of ${one.name} is now ${value.toFixed(3)}.`);
      this.touched = false;
      await refresh();
    } catch (error) {
      say(error.message, true);
    }
  }
}
