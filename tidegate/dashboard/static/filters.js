// What a list is narrowed down to; it is kept in the address, so that it can be shared.
import { now } from "./live.js";
import { route, setQuery } from "./route.js";
import { html, useEffect, useMemo, useRef, useState } from "./ui.js";

const RANGES = [
  { name: "15m", title: "Last 15 minutes", ms: 900_000 },
  { name: "1h", title: "Last hour", ms: 3_600_000 },
  { name: "24h", title: "Last 24 hours", ms: 86_400_000 },
  { name: "7d", title: "Last 7 days", ms: 7 * 86_400_000 },
  { name: "30d", title: "Last 30 days", ms: 30 * 86_400_000 },
];

/** The range of time that the address names, as `{ from, until }`: RFC 3339, or empty. */
export function useRange(standard = "24h") {
  const { range = standard, from = "", until = "" } = route.value.query;
  return useMemo(() => {
    if (range === "custom") return { from: moment(from), until: moment(until) };
    const { ms } = RANGES.find((one) => one.name === range) ?? RANGES[2];
    return { from: new Date(now.peek() - ms).toISOString(), until: "" };
  }, [range, from, until]);
}

/** A local time as a field has it, in RFC 3339; empty if it is none. */
export function moment(local) {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}

/** A time as a field for local times takes it. */
export function local(at) {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function RangeFilter({ standard = "24h" }) {
  const { range = standard, from = "", until = "" } = route.value.query;
  function choose(event) {
    const name = event.currentTarget.value;
    const start = name === "custom" ? { from: local(now.peek() - 86_400_000), until: "" } : { from: "", until: "" };
    setQuery({ range: name === standard ? "" : name, ...start });
  }
  const put = (name) => (event) => setQuery({ [name]: event.currentTarget.value });
  return html`
    <label class="field">Time
      <select value=${range} onChange=${choose}>
        ${RANGES.map((one) => html`<option key=${one.name} value=${one.name}>${one.title}</option>`)}
        <option value="custom">From … until …</option>
      </select>
    </label>
    ${range === "custom" && html`
      <label class="field">From <input type="datetime-local" value=${from} onChange=${put("from")} /></label>
      <label class="field">Until <input type="datetime-local" value=${until} min=${from} onChange=${put("until")} /></label>
    `}
  `;
}

/** A text of the address's query, put there when one stops typing. */
export function TextFilter({ name, label, placeholder, options = [] }) {
  const value = route.value.query[name] ?? "";
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  function change(event) {
    const next = event.currentTarget.value;
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setQuery({ [name]: next.trim() }), 300);
  }
  const list = `options-${name}`;
  return html`<label class="field grow">${label}
    <input type="search" value=${text} onInput=${change} placeholder=${placeholder} list=${list} spellcheck=${false} autocomplete="off" />
    <datalist id=${list}>${options.map((option) => html`<option key=${option} value=${option}></option>`)}</datalist>
  </label>`;
}

export function SelectFilter({ name, label, options, all }) {
  return html`<label class="field">${label}
    <select value=${route.value.query[name] ?? ""} onChange=${(event) => setQuery({ [name]: event.currentTarget.value })}>
      <option value="">${all}</option>
      ${options.map((option) => html`<option key=${option} value=${option}>${option}</option>`)}
    </select>
  </label>`;
}

/** Whether anything but the range narrows the list down. */
export function isFiltered(...names) {
  return names.some((name) => route.value.query[name]);
}
