// Charts in SVG, drawn at the width that they have. Each has a table with the same figures.
import { h, s, table } from "./dom.js";
import { clock } from "./format.js";

const LEFT = 50;
const RIGHT = 12;
const TOP = 8;
const BOTTOM = 22;

/** A chart that draws itself again when its width changes. */
class Chart {
  constructor(place, { label, height = 190 }) {
    this.height = height;
    this.svg = s("svg", { role: "img", height });
    this.readout = h("p", { class: "readout" });
    this.legend = h("ul", { class: "legend" });
    this.numbers = h("details", { class: "numbers" }, h("summary", null, "Show as a table"));
    this.plot = h("div", { class: "plot" }, this.svg);
    this.figure = h("figure", { class: "chart" }, this.legend, this.plot, h("div", { class: "under" }, this.numbers, this.readout));
    this.label = label;
    this.width = 0;
    place.replaceChildren(this.figure);
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.resized()).observe(this.plot);
  }

  resized() {
    const width = Math.floor(this.plot.clientWidth);
    if (width && width !== this.width) {
      this.width = width;
      this.draw();
    }
  }

  show(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    if (!this.data || !this.width) return;
    this.svg.setAttribute("width", this.width);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.replaceChildren(...this.shapes().flat(3).filter(Boolean));
    this.svg.setAttribute("aria-label", this.label(this.data));
    this.cursor = s("line", { class: "cursor", y1: TOP, y2: this.height - BOTTOM, visibility: "hidden" });
    this.svg.append(this.cursor);
    this.point(null);
    const open = this.numbers.open;
    const filled = this.table();
    this.numbers.replaceChildren(this.numbers.firstChild, filled);
    this.numbers.open = open;
  }

  get inner() {
    return { left: LEFT, right: this.width - RIGHT, top: TOP, bottom: this.height - BOTTOM };
  }

  key(items) {
    this.legend.replaceChildren(
      ...items.map(({ name, kind, value, mark }) =>
        h("li", null, h("span", { class: `swatch ${mark || "box"} ${kind}`, "aria-hidden": "true" }), `${name}`,
          value === undefined ? null : h("b", null, ` ${value}`))),
    );
  }

  point() {}
  table() {
    return "";
  }
}

/** Horizontal lines with their numbers at the left. */
function grid({ left, right }, ticks, y, text) {
  return ticks.map((tick) => [
    s("line", { class: "rule", x1: left, x2: right, y1: y(tick), y2: y(tick) }),
    s("text", { class: "tick", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, text(tick)),
  ]);
}

/** The times below a chart over time: as many as there is room for. */
function times({ left, right, bottom }, points, x) {
  const most = Math.max(2, Math.floor((right - left) / 84));
  const every = Math.max(1, Math.ceil((points.length - 1) / (most - 1)));
  return points.map((point, i) =>
    i % every ? null : s("text", { class: "tick", x: x(i), y: bottom + 16, "text-anchor": "middle" }, clock(point.at)));
}

/** Round numbers from 0 to at least `most`. */
function round(most) {
  if (!(most > 0)) return [0, 1];
  const rough = most / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) => i * step);
}

/**
 * Bars over time, each of stacked parts.
 * data: {points, series: [{name, kind, value: (point) => number}], whole: (point) => number or undefined, text}.
 * With `whole`, a bar is a share of it, and the scale goes to 100 %.
 */
export class Stack extends Chart {
  parts(point) {
    const { series, whole } = this.data;
    const all = whole ? whole(point) : 1;
    return series.map((one) => (all ? one.value(point) / all : 0));
  }

  shapes() {
    const { points, series, whole, text } = this.data;
    const inner = this.inner;
    const sums = points.map((point) => this.parts(point).reduce((sum, part) => sum + part, 0));
    const ticks = whole ? [0, 0.25, 0.5, 0.75, 1] : round(Math.max(...sums));
    const y = (value) => inner.bottom - ((inner.bottom - inner.top) * value) / ticks.at(-1);
    const step = (inner.right - inner.left) / points.length;
    const x = (i) => inner.left + step * (i + 0.5);
    const gap = step > 6 ? 2 : step > 3 ? 1 : 0;
    this.step = step;
    return [
      grid(inner, ticks, y, text),
      points.map((point, i) => {
        let at = 0;
        const bar = [];
        if (whole && whole(point)) {
          bar.push(s("rect", { class: "track", x: x(i) - step / 2 + gap / 2, y: y(1), width: Math.max(1, step - gap), height: y(0) - y(1) }));
        }
        this.parts(point).forEach((part, k) => {
          if (part <= 0) return;
          const low = y(at);
          at += part;
          bar.push(s("rect", { class: `fill ${series[k].kind}`, x: x(i) - step / 2 + gap / 2, y: y(at), width: Math.max(1, step - gap), height: Math.max(0.5, low - y(at)) }));
        });
        return bar;
      }),
      times(inner, points, x),
    ];
  }

  point(at) {
    const { points, series, whole, shown } = this.data || {};
    if (!points) return;
    const i = at === null ? -1 : Math.floor((at - LEFT) / this.step);
    const one = points[i];
    this.cursor.setAttribute("visibility", one ? "visible" : "hidden");
    if (!one) {
      this.readout.textContent = this.data.about || "";
      return;
    }
    const x = LEFT + this.step * (i + 0.5);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    const parts = series.map((part) => `${part.name} ${shown(part.value(one), whole ? whole(one) : 0)}`);
    this.readout.textContent = `${clock(one.at)}: ${parts.join(", ")}`;
  }

  table() {
    const { points, series, whole, shown, caption } = this.data;
    return table(caption, [
      { name: "From", cell: (point) => clock(point.at) },
      ...(whole ? [{ name: "Calls", right: true, cell: (point) => `${whole(point)}` }] : []),
      ...series.map((one) => ({ name: one.name, right: true, cell: (point) => shown(one.value(point), whole ? whole(point) : 0) })),
    ], points, { hideCaption: false });
  }
}

/** Lines over time on a logarithmic scale. data: {points, series: [{name, kind, value}], text, caption}. */
export class Lines extends Chart {
  shapes() {
    const { points, series, text } = this.data;
    const inner = this.inner;
    const values = points.flatMap((point) => series.map((one) => one.value(point))).filter((value) => value > 0);
    const low = Math.floor(Math.log10(Math.min(...values, 1)));
    const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values, 1)) + 1e-9));
    const y = (value) => inner.bottom - ((inner.bottom - inner.top) * (Math.log10(value) - low)) / (high - low);
    const step = (inner.right - inner.left) / points.length;
    const x = (i) => inner.left + step * (i + 0.5);
    this.step = step;
    const every = high - low > 5 ? 2 : 1;
    const ticks = [];
    for (let power = low; power <= high; power += every) ticks.push(10 ** power);
    return [
      grid(inner, ticks, y, text),
      series.map((one) => runs(points, one.value).map((run) =>
        run.length === 1
          ? s("circle", { class: `point ${one.kind}`, cx: x(run[0]), cy: y(one.value(points[run[0]])), r: 3 })
          : s("polyline", { class: `line ${one.kind}`, points: run.map((i) => `${x(i)},${y(one.value(points[i]))}`).join(" ") }))),
      times(inner, points, x),
    ];
  }
}
Lines.prototype.point = Stack.prototype.point;
Lines.prototype.table = Stack.prototype.table;

/** Return the runs of neighbouring points that have a value. */
function runs(points, value) {
  const found = [];
  let last = null;
  points.forEach((point, i) => {
    if (value(point) === null) last = null;
    else if (last) last.push(i);
    else found.push((last = [i]));
  });
  return found;
}

/**
 * A histogram of similarities with a threshold that can be moved.
 * data: {edges, series: [{name, kind, counts}], from, threshold, current}.
 */
export class Histogram extends Chart {
  x(value) {
    const { left, right } = this.inner;
    return left + ((right - left) * (value - this.data.from)) / (1 - this.data.from);
  }

  /** The similarity at a place of the chart. */
  value(x) {
    const { left, right } = this.inner;
    return this.data.from + ((x - left) / (right - left)) * (1 - this.data.from);
  }

  shapes() {
    const { edges, series, from, current, threshold } = this.data;
    const inner = this.inner;
    const first = edges.findIndex((edge) => edge >= from - 1e-9);
    const sums = edges.slice(0, -1).map((_, i) => series.reduce((sum, one) => sum + one.counts[i], 0));
    const ticks = round(Math.max(1, ...sums.slice(first)));
    const y = (value) => inner.bottom - ((inner.bottom - inner.top) * value) / ticks.at(-1);
    const bars = [];
    for (let i = first; i < edges.length - 1; i++) {
      let at = 0;
      const x = this.x(edges[i]);
      const width = Math.max(1, this.x(edges[i + 1]) - x - 1);
      for (const one of series) {
        if (!one.counts[i]) continue;
        const low = y(at);
        at += one.counts[i];
        bars.push(s("rect", { class: `fill ${one.kind}`, x, y: y(at), width, height: low - y(at) }));
      }
    }
    const marks = [];
    const wanted = Math.max(2, Math.floor((inner.right - inner.left) / 60));
    const apart = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find((one) => (1 - from) / one <= wanted) || 0.5;
    for (let value = Math.ceil(from / apart - 1e-9) * apart; value <= 1 + 1e-9; value += apart) {
      marks.push(s("text", { class: "tick", x: this.x(value), y: inner.bottom + 16, "text-anchor": "middle" }, value.toFixed(2)));
    }
    const now = current === null ? null : s("line", { class: "now", x1: this.x(current), x2: this.x(current), y1: inner.top, y2: inner.bottom });
    this.line = s("g", { class: "threshold" }, s("line", { y1: inner.top - 6, y2: inner.bottom }), s("path", { d: "M-6,-8 h12 v6 l-6,7 l-6,-7 z" }));
    this.shade = s("rect", { class: "shade", y: inner.top, height: inner.bottom - inner.top });
    this.move(threshold);
    return [grid(inner, ticks, y, (tick) => `${tick}`), this.shade, bars, now, marks, this.line];
  }

  /** Move the line of the threshold. */
  move(threshold) {
    this.data.threshold = threshold;
    if (!this.line) return;
    const { left, right, top } = this.inner;
    const x = Math.min(right, Math.max(left, this.x(threshold)));
    const [line, grip] = this.line.children;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    grip.setAttribute("transform", `translate(${x},${top})`);
    this.shade.setAttribute("x", x);
    this.shade.setAttribute("width", Math.max(0, right - x));
  }

  point(at) {
    const { edges, series, from } = this.data || {};
    if (!edges) return;
    const value = at === null ? -1 : this.value(at);
    const i = value < from ? -1 : Math.floor(value * (edges.length - 1) + 1e-9);
    this.cursor.setAttribute("visibility", "hidden");
    if (i < 0 || i >= edges.length - 1) {
      this.readout.textContent = this.data.about || "";
      return;
    }
    const parts = series.map((one) => `${one.name} ${one.counts[i]}`);
    this.readout.textContent = `${edges[i].toFixed(3)} to ${edges[i + 1].toFixed(3)}: ${parts.join(", ")}`;
  }

  table() {
    const { edges, series, caption } = this.data;
    const rows = edges.slice(0, -1).map((_, i) => i).filter((i) => series.some((one) => one.counts[i]));
    return table(caption, [
      { name: "Similarity", cell: (i) => `${edges[i].toFixed(3)} to ${edges[i + 1].toFixed(3)}` },
      ...series.map((one) => ({ name: one.name, right: true, cell: (i) => `${one.counts[i]}` })),
    ], rows, { hideCaption: false });
  }
}

/** Where the plot of a chart begins and ends, for a slider that fits it. */
export const MARGINS = { left: LEFT, right: RIGHT };
