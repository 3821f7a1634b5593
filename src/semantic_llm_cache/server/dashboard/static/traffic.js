// The figures at the top, and the charts over time.
import { byId, empty, h, s } from "./dom.js";
import { Lines, Stack } from "./charts.js";
import { count, duration, money, NONE, percent } from "./format.js";

const HITS = ["exact", "near", "coalesced", "stale"];
const CALLS = [...HITS, "miss", "error"];

const sum = (point, names) => names.reduce((total, name) => total + point[name], 0);
const hits = (point) => sum(point, HITS);
const calls = (point) => sum(point, CALLS);
const add = (points, value) => points.reduce((total, point) => total + value(point), 0);

const PERIODS = { 15: "15 minutes", 60: "hour", 360: "6 hours", 720: "12 hours", 1440: "24 hours" };

/** How many minutes are in one point of the charts. */
export const STEPS = { 15: 1, 60: 1, 360: 5, 720: 10, 1440: 20 };

// ---------------------------------------------------------------------------- figures

function change(now, before, text, goodUp = true) {
  if (now === null || before === null) return null;
  const by = now - before;
  const shown = text(Math.abs(by));
  if (!Number(by.toPrecision(3)) || /^[^1-9]*$/.test(shown)) return h("span", { class: "change same" }, "unchanged");
  const good = by > 0 === goodUp;
  return h("span", { class: `change ${good ? "good" : "bad"}`, title: "Compared with the period before" },
    h("span", { "aria-hidden": "true" }, by > 0 ? "▲ " : "▼ "), h("span", { class: "vh" }, by > 0 ? "up " : "down "), shown, h("span", { class: "vh" }, " from the period before"));
}

function tile(name, value, changed, ...about) {
  return h("div", { class: "tile" }, h("dt", null, name),
    h("dd", null, h("span", { class: "figure" }, value), " ", changed),
    h("dd", { class: "more" }, about));
}

/** Return what the points of the period before the last `minutes` add up to; null if it is not known. */
function before(double, minutes) {
  if (!double || 2 * minutes > 1440) return null;
  const half = double.points.slice(0, double.points.length / 2);
  if (!add(half, calls)) return null;
  return {
    calls: add(half, calls), hits: add(half, hits),
    saved_usd: add(half, (one) => one.saved_usd), saved_ms: add(half, (one) => one.saved_ms),
  };
}

export function tiles({ stats, traffic, double, minutes }) {
  const { summary, live } = stats;
  const total = traffic.total;
  const asked = calls(total);
  const past = before(double, minutes);
  const latest = `in the last ${PERIODS[minutes]}`;
  const rate = live ? (asked ? hits(total) / asked : null) : summary.hit_rate;
  const usd = live ? total.saved_usd : summary.saved_usd;
  const ms = live ? total.saved_ms : summary.saved_ms;
  const ever = (text) => (live ? [`${text} in all`] : ["in all, by all processes"]);
  byId("tiles").replaceChildren(
    tile("Hit rate", percent(rate), past && past.calls && rate !== null
      ? change(100 * rate, (100 * past.hits) / past.calls, (by) => `${by.toFixed(1)} points`) : null,
      live ? `${count(hits(total))} of ${count(asked)} calls ${latest}`
        : `${count(summary.hits)} of ${count(summary.requests)} calls, in all`),
    tile("Money saved", money(usd), past && live ? change(usd, past.saved_usd, money) : null, ever(money(summary.saved_usd))),
    tile("Time saved", duration(ms), past && live ? change(ms, past.saved_ms, duration) : null, ever(duration(summary.saved_ms))),
    tile("A hit takes", duration(total.hit_p50_ms), null, faster(total)),
    wrongTile(summary),
  );
}

function faster(total) {
  if (total.hit_p50_ms === null || total.miss_p50_ms === null) return "no hits and misses to compare";
  const ratio = total.miss_p50_ms / total.hit_p50_ms;
  return `a miss ${duration(total.miss_p50_ms)}: ${ratio >= 10 ? count(Math.round(ratio)) : ratio.toFixed(1)} times as long`;
}

function wrongTile(summary) {
  if (summary.wrong_rate === null) {
    return tile("Wrong hits", NONE, null, `not estimated; ${count(summary.reported_wrong)} reported wrong`);
  }
  const [low, high] = summary.wrong_interval;
  return tile("Wrong hits", percent(summary.wrong_rate), null,
    `${percent(low)} to ${percent(high)}, 95 % sure`);
}

// ---------------------------------------------------------------------------- charts

const charts = {};
const NO_CALLS = ["No calls in this period.", "Send a prompt through the cache, or choose a longer period."];

/** Return the chart in a place, made when it is first needed; an empty panel takes its place. */
function chart(id, kind, options) {
  if (!charts[id]) charts[id] = new kind(byId(id), options);
  return charts[id];
}

function none(id) {
  delete charts[id];
  byId(id).replaceChildren(empty(...NO_CALLS));
}

export function draw({ traffic, stats, minutes }) {
  const { points, total } = traffic;
  if (!calls(total)) {
    for (const id of ["rate", "saved", "latency"]) none(id);
  } else {
    drawRate(points, total, minutes);
    drawSaved(points, minutes);
    drawLatency(points, total, minutes);
  }
  wrong(stats.summary);
}

const TIERS = [
  { name: "Exact", kind: "exact" }, { name: "Near", kind: "near" },
  { name: "Coalesced", kind: "coalesced" }, { name: "Stale", kind: "stale" },
];

function drawRate(points, total, minutes) {
  const used = TIERS.filter(({ kind }) => total[kind] || kind === "exact" || kind === "near");
  const series = used.map((one) => ({ ...one, value: (point) => point[one.kind] }));
  const all = calls(total);
  const made = chart("rate", Stack, {
    height: 268,
    label: (data) => `Hit rate over the last ${data.period}: ${data.spoken}. The table below has each interval.`,
  });
  made.key([
    ...series.map((one) => ({ name: one.name, kind: one.kind, value: percent(total[one.kind] / all) })),
    { name: "Miss", kind: "miss", value: percent((total.miss + total.error) / all) },
  ]);
  made.show({
    points, series, whole: calls, period: PERIODS[minutes],
    spoken: series.map((one) => `${one.name} ${percent(total[one.kind] / all)}`).join(", "),
    text: (tick) => `${Math.round(100 * tick)} %`,
    shown: (value, whole) => (whole ? `${percent(value / whole, 0)} (${value})` : NONE),
    caption: "Hits by tier, as shares of the calls in each interval",
  });
}

function drawSaved(points, minutes) {
  const place = byId("saved");
  if (!charts.saved) {
    const [usd, ms] = [h("div"), h("div")];
    place.replaceChildren(h("h3", null, "Money"), usd, h("h3", null, "Time"), ms);
    const small = (name, text) => ({ height: 110, label: (data) => `${name} saved in the last ${data.period}: ${text(data.sum)}.` });
    charts.saved = { usd: new Stack(usd, small("Money", money)), ms: new Stack(ms, small("Time", duration)) };
  }
  const show = (made, name, kind, field, text) => {
    const saved = add(points, (point) => point[field]);
    made.show({
      points, period: PERIODS[minutes], sum: saved, text, shown: text, about: `${text(saved)} together`,
      series: [{ name, kind, value: (point) => point[field] }], caption: `${name} saved in each interval`,
    });
  };
  show(charts.saved.usd, "Money", "exact", "saved_usd", money);
  show(charts.saved.ms, "Time", "near", "saved_ms", duration);
}

const TIMES = [
  { name: "Hits p50", kind: "hit-p50", field: "hit_p50_ms" }, { name: "Hits p99", kind: "hit-p99", field: "hit_p99_ms" },
  { name: "Misses p50", kind: "miss-p50", field: "miss_p50_ms" }, { name: "Misses p99", kind: "miss-p99", field: "miss_p99_ms" },
];

function drawLatency(points, total, minutes) {
  const series = TIMES.map((one) => ({ ...one, value: (point) => point[one.field] }));
  const made = chart("latency", Lines, {
    label: (data) => `Latency over the last ${data.period}: ${data.spoken}. The table below has each interval.`,
  });
  made.key(series.map((one) => ({ name: one.name, kind: one.kind, mark: "stroke", value: duration(total[one.field]) })));
  made.show({
    points, series, period: PERIODS[minutes],
    spoken: series.map((one) => `${one.name} ${duration(total[one.field])}`).join(", "),
    text: duration, shown: duration, caption: "Latency of hits and misses in each interval",
  });
}

// ---------------------------------------------------------------------------- wrong hits

const LEARN = "Run the cache with mode=\"shadow\": it then calls the model on would-be hits too, and compares the answers.";

function wrong(summary) {
  const reported = h("p", { class: "about" },
    `Reported: ${count(summary.reported_wrong)} wrong, ${count(summary.reported_right)} right.`);
  if (summary.wrong_rate === null) {
    byId("wrong").replaceChildren(empty("Not estimated yet.", LEARN), reported);
    return;
  }
  const [low, high] = summary.wrong_interval;
  byId("wrong").replaceChildren(
    h("p", { class: "big" }, percent(summary.wrong_rate), h("small", null, ` of hits`)),
    interval(summary.wrong_rate, low, high),
    h("p", { class: "about" }, `${count(summary.wrong)} of ${count(summary.judged)} would-be hits judged in shadow mode had `
      + `another answer. The true share lies between ${percent(low)} and ${percent(high)}, with 95 % confidence.`),
    reported,
  );
}

function interval(rate, low, high) {
  const end = Math.max(0.02, Math.ceil(high * 50) / 50);
  const x = (share) => 10 + (280 * share) / end;
  return s("svg", { class: "interval", viewBox: "0 0 300 44", role: "img",
    "aria-label": `Between ${percent(low)} and ${percent(high)}, most likely ${percent(rate)}` },
  s("line", { class: "rule", x1: 10, x2: 290, y1: 16, y2: 16 }),
  s("rect", { class: "fill refused", x: x(low), y: 11, width: Math.max(2, x(high) - x(low)), height: 10, rx: 5 }),
  s("circle", { class: "center", cx: x(rate), cy: 16, r: 6 }),
  s("text", { class: "tick", x: 10, y: 40 }, "0 %"),
  s("text", { class: "tick", x: 290, y: 40, "text-anchor": "end" }, percent(end, 0)));
}
