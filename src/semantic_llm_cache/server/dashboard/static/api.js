// Asks the admin API.

const LIMIT = 30000;

export class Refused extends Error {}

async function read(reply) {
  if (reply.status === 401) {
    location.assign("dashboard/login");
    throw new Refused("Sign in again.");
  }
  const body = await reply.json().catch(() => null);
  if (reply.ok) return body;
  const first = body && body.errors && body.errors[0];
  const more = first ? ` (${first.where}: ${first.what})` : "";
  throw new Refused((body && body.detail ? body.detail : `The server answered ${reply.status}`) + more);
}

async function ask(path, options) {
  let reply;
  try {
    reply = await fetch(`admin/${path}`, { ...options, cache: "no-store", signal: AbortSignal.timeout(LIMIT) });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  return read(reply);
}

/** Return what a GET answers; parameters that are empty are left out. */
export function get(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== null));
  return ask(query.size ? `${path}?${query}` : path);
}

/** Send JSON. */
export function send(method, path, body) {
  return ask(path, { method, body: JSON.stringify(body), headers: { "content-type": "application/json" } });
}
