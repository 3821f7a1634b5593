// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const NONE = "–";


export const count = (value) => (value >= 100000 ? compact.format(value) : whole.format(value));

export function percent(share, digits = 1) {
  return share === null || share === undefined ? NONE : `${(100 * share).toFixed(digits)}\u00a0%`;
}

export function money(usd) {
  if (!usd) return "$0";
  if (usd < 0) return `−${money(-usd)}`;
  if (usd < 0.01) return `$${Number(usd.toPrecision(2))}`;
  return `$${usd < 1000 ? usd.toFixed(2) : count(Math.round(usd))}`;
}

/** A duration from milliseconds: 0.4 ms, 12 ms, 3.1 s, 4 min, 2.5 h, 3 days. */
export function duration(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms === 0) return "0 s";
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 0.0995) return `${Number((1000 * ms).toPrecision(2))} µs`;
  if (ms < 9.95) return `${Number(ms.toPrecision(2))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Number((seconds / 3600).toFixed(1))} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** How long ago: 12 s, 3 min, 5 h, 2 days. */
export const age = (seconds) => duration(1000 * Math.max(1, Math.round(seconds)));

export function clock(at, seconds = false) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (seconds) options.second = "2-digit";
  return new Date(1000 * at).toLocaleTimeString("en", options);
}

export function when(at) {
  const day = new Date(1000 * at);
  const iso = `${day.getFullYear()}-${String(day.getMonth() + 1).padStart(2, "0")}-${String(day.getDate()).padStart(2, "0")}`;
  return `${iso} ${clock(at, true)}`;
}

export const similarity = (value) => (value === null || value === undefined ? NONE : value.toFixed(3));
