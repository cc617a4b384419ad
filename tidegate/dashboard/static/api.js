// The REST API, and the session that opens it.
import { parseJson } from "./json.js";
import { signal } from "./ui.js";

/** Who looks: undefined until it is known, null while nobody is logged in. */
export const session = signal(undefined);
/** Whether somebody who was logged in no longer is, without having logged out. */
export const hasEnded = signal(false);
/** The environment that is looked into; empty for that of the key. */
export const environment = signal(sessionStorage.getItem("environment") ?? "");
/** How far the server's clock is ahead of this one, in ms. */
export const ahead = signal(0);

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Ask the REST API; gives `{ data, metadata }`.
 *
 * `query` may have empty values, which are left out; `body` is JSON text or a value.
 */
export async function ask(path, { method = "GET", query = {}, body, signal: abort } = {}) {
  const set = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const search = new URLSearchParams(set).toString();
  const headers = { accept: "application/json" };
  if (environment.value) headers["x-inngest-env"] = environment.value;
  if (method !== "GET" && session.value?.csrf_token) headers["x-csrf-token"] = session.value.csrf_token;
  if (body !== undefined) headers["content-type"] = "application/json";
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const began = Date.now();
  const answer = await fetched(`${path}${search && `?${search}`}`, { method, headers, body: text, signal: abort });
  if (answer.metadata?.fetched_at) {
    // Half a second is what an answer may take; no need to follow its jitter.
    const difference = Date.parse(answer.metadata.fetched_at) - (began + Date.now()) / 2;
    if (Math.abs(difference - ahead.value) > 500) ahead.value = difference;
  }
  return answer;
}

async function fetched(address, options) {
  let response;
  try {
    response = await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the server cannot be reached");
  }
  if (response.status === 204) return {};
  let answer;
  try {
    answer = parseJson(await response.text());
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(response.status, `the server answered ${response.status}, in no form that is known`);
  }
  if (response.ok) return answer;
  if (response.status === 401 && session.value?.auth === "session") {
    session.value = null;
    hasEnded.value = true;
  }
  throw new ApiError(response.status, answer?.error ?? `the server answered ${response.status}`);
}

const SESSION = "/dashboard/session";

export async function findSession() {
  enter((await fetched(SESSION, {})).data);
}

function enter(found) {
  // What another key let one look into, this one may not.
  if (found && !found.branch) setEnvironment("");
  hasEnded.value = false;
  session.value = found;
}

export async function logIn(key) {
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ key });
  enter((await fetched(SESSION, { method: "POST", headers, body })).data);
}

export async function logOut() {
  await fetched(SESSION, { method: "DELETE", headers: { "x-csrf-token": session.value.csrf_token } });
  session.value = null;
  setEnvironment("");
}

export function setEnvironment(name) {
  sessionStorage.setItem("environment", name);
  environment.value = name;
}
