// Commands for a shell, to copy.
import { environment, session } from "./api.js";

/** A command that sends an event of that name. */
export function sendCommand(name) {
  return command(`/e/${isOpen() ? "any-key" : "$EVENT_KEY"}`, [], { name, data: { hello: "world" } });
}

/** A command that invokes the function with that id. */
export function invokeCommand(id) {
  const key = isOpen() ? [] : ['"authorization: Bearer $SIGNING_KEY"'];
  return command(`/v1/functions/${encodeURIComponent(id)}/invoke`, key, { data: {} });
}

function command(path, headers, body) {
  const env = environment.value ? [quoted(`x-inngest-env: ${environment.value}`)] : [];
  const options = [...headers, ...env].map((header) => `-H ${header}`);
  return [`curl "${location.origin}${path}"`, ...options, `-d ${quoted(JSON.stringify(body))}`].join(" \\\n  ");
}

function isOpen() {
  return session.value.auth === "open";
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
