// The histogram of similarities, and what another threshold would change.
import { get, send } from "./api.js";
import { Histogram } from "./charts.js";
import { ask } from "./dialog.js";
import { byId, empty, h, say } from "./dom.js";
import { count } from "./format.js";

export const BINS = 200;
const STEP = 1 / BINS;
const WAIT = 120;

let panel = null;
let refresh = () => {};

/** Tell the panel how to load the page's figures again, after a change. */
export const onChange = (load) => (refresh = load);

/** Draw the panel. */
export function draw({ similarities, caches, namespace }) {
  const compared = ["hit", "below", "refused"].some((kind) => similarities[kind].some(Boolean));
  const usable = caches.filter((one) => !namespace || one.namespace === namespace);
  if (!compared && !usable.length) {
    panel = null;
    byId("similarities").replaceChildren(empty("No calls were compared by meaning yet.", similarities.hint
      || "Make the cache with similarity= below 1, such as 0.95, and send it prompts."));
    return;
  }
  if (!panel) panel = new Panel(byId("similarities"));
  panel.show(similarities, usable, namespace);
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
      onchange: () => this.set(Math.min(1, Math.max(0, Number(this.number.value) || 0))) });
    this.cache = h("select", { id: "threshold-cache", onchange: () => this.reset() });
    this.cacheField = h("label", { class: "field" }, h("span", null, "Cache"), this.cache);
    this.back = h("button", { type: "button", onclick: () => this.reset() }, "Back to current");
    this.apply = h("button", { type: "button", class: "strong", id: "apply", onclick: () => this.change() }, "Apply");
    this.result = h("div", { id: "what-if", class: "what-if", role: "status" });
    this.note = h("p", { class: "about" });
    place.replaceChildren(
      this.plot,
      h("div", { class: "slider" }, h("label", { class: "vh", for: "slider" }, "Threshold to try"), this.slider),
      h("div", { class: "controls try" }, this.cacheField,
        h("label", { class: "field" }, h("span", null, "Threshold to try"), this.number), this.back, this.apply),
      this.result, this.note);
    this.chart = new Histogram(this.plot, { height: 200, label: (data) => data.spoken });
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

  show(data, caches, namespace) {
    this.namespace = namespace;
    this.caches = new Map(caches.map((one) => [one.name, one]));
    const names = [...this.caches.keys()];
    if (names.join("\n") !== [...this.cache.options].map((one) => one.value).join("\n")) {
      this.cache.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
      this.touched = false;
    }
    this.cacheField.hidden = names.length < 2;
    const sum = (counts) => counts.reduce((total, one) => total + one, 0);
    const series = [
      { name: "Hit", kind: "near", counts: data.hit },
      { name: "Below the threshold", kind: "below", counts: data.below },
      { name: "Refused by a guard", kind: "refused", counts: data.refused },
    ];
    const least = data.edges.findIndex((_, i) => series.some((one) => one.counts[i]));
    const current = this.current();
    const lowest = Math.min(least < 0 ? 0.7 : data.edges[least], current === null ? 0.9 : current - 0.05, 0.9);
    this.from = Math.max(0, Math.floor(lowest * 10 + 1e-6) / 10);
    this.slider.min = this.from;
    if (!this.touched) this.trial = current ?? 0.95;
    this.chart.key(series.map((one) => ({ name: one.name, kind: one.kind, value: count(sum(one.counts)) })).concat(
      current === null ? [] : [{ name: "Current threshold", kind: "now", mark: "stroke", value: current.toFixed(3) }]));
    this.chart.show({
      edges: data.edges, series, from: this.from, threshold: this.trial, current,
      caption: "Calls by their similarity to the nearest stored prompt",
      about: "Drag the line, or use the slider and its arrow keys.",
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
    const one = this.chosen();
    return one ? one.current.similarity : null;
  }

  reset() {
    this.touched = false;
    this.set(this.current() ?? 0.95, false);
  }

  set(value, touched = true) {
    this.touched = touched;
    this.trial = Number(value.toFixed(4));
    this.slider.value = this.trial;
    this.slider.setAttribute("aria-valuetext", this.trial.toFixed(3));
    if (document.activeElement !== this.number || touched) this.number.value = this.trial.toFixed(3);
    this.chart.move(this.trial);
    const one = this.chosen();
    const same = one && Math.abs(one.current.similarity - this.trial) < 1e-9;
    const fixed = one && !one.changeable.includes("similarity");
    this.apply.hidden = !one || fixed;
    this.apply.disabled = Boolean(same);
    this.apply.textContent = one ? `Apply ${this.trial.toFixed(3)} to ${one.name}` : "Apply";
    this.back.disabled = Boolean(same);
    this.note.hidden = !fixed;
    if (fixed) this.note.textContent = "This cache decides by an error budget or a verifier: its threshold cannot be changed.";
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.compare(), WAIT);
  }

  async compare() {
    const asked = this.trial;
    try {
      const found = await get("what-if", { similarity: asked, namespace: this.namespace });
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
    const at = `At ${this.trial.toFixed(3)}`;
    if (!found.compared) {
      this.result.replaceChildren(h("p", null, `${at}: no calls to compare with yet.`));
      return;
    }
    this.result.replaceChildren(
      h("p", null, `${at}${current === null ? "" : `, now ${current.toFixed(3)}`}, `
        + `of the last ${count(found.compared)} calls that were compared by meaning:`),
      figure(count(found.hits_lost), `of ${count(found.hits)} hits would be lost`, found.hits_lost ? "loses" : ""),
      figure(count(found.misses_above), `misses would be above the threshold${checked}`, found.misses_above ? "gains" : ""));
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
