// Where in the page one is: `#/runs/01J…?status=Failed`.
import { signal } from "./ui.js";

function parse(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split("?");
  return {
    parts: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal(parse(location.hash));

addEventListener("hashchange", () => {
  route.value = parse(location.hash);
});

/** The address of a place: `to("runs", id)`, `to("runs", { status: "Failed" })`. */
export function to(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const set = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const search = new URLSearchParams(set).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
}

export function go(address) {
  location.hash = address;
}

/** Change the query of where one is, without a new entry in the history. */
export function setQuery(changes) {
  const { parts, query } = route.value;
  history.replaceState(null, "", to(...parts, { ...query, ...changes }));
  route.value = parse(location.hash);
}
