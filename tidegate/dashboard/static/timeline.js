// Where a run's time went, drawn to scale: a row for each step, with all of its attempts.
import { count, duration, exactTime, ms } from "./format.js";
import { Icon } from "./icons.js";
import { now } from "./live.js";
import { isPhone } from "./rows.js";
import { evenScale, pausesOf, shortenedScale } from "./scale.js";
import { isTaken, stepName } from "./steps.js";
import { html, useMemo, useRef, useState } from "./ui.js";

const ROWS_AT_EACH_END = 40;
const ICONS = { queue: "clock", attempt: "functions", step: "play", sleep: "sleep", wait: "Waiting", invoke: "functions" };
const WORDS = { queue: "in the queue", attempt: "function", step: "step", sleep: "sleep", wait: "wait for an event", invoke: "invoked function" };

/** The spans by row: the queue, the function's attempts, and each step. */
function rowsOf(spans, steps, since) {
  const names = new Map(steps.map((step) => [step.step_id, stepName(step)]));
  const rows = new Map();
  // What was taken over may be of any time ago, and did not take this run's.
  for (const span of spans.filter((one) => !isTaken(one, since))) {
    const key = span.step_id ?? span.kind;
    if (!rows.has(key)) rows.set(key, { key, kind: span.kind, stepId: span.step_id, name: nameOf(span, names), spans: [] });
    rows.get(key).spans.push({ ...span, from: ms(span.started_at), until: ms(span.ended_at) });
  }
  return [...rows.values()];
}

function nameOf(span, names) {
  if (span.kind === "queue") return "Queue";
  if (span.kind === "attempt") return "Function";
  return names.get(span.step_id) ?? span.name;
}

/** The timeline of a run, from when it was asked for, `since`, UTC ms; `onChoose` is called with the id of the step whose name is clicked. */
export function Timeline({ timeline, steps, since, onChoose }) {
  const [isShort, setShort] = useState(false);
  const [isWhole, setWhole] = useState(false);
  const taken = steps.filter((step) => isTaken(step, since)).length;
  const rows = useMemo(() => rowsOf(timeline.spans, steps, since), [timeline, steps, since]);
  const from = Math.min(...rows.flatMap((row) => row.spans.map((span) => span.from)));
  const isOpen = timeline.spans.some((span) => !span.ended_at);
  const until = Math.max(ms(timeline.until), isOpen ? now.value : 0);
  const busy = rows.flatMap((row) => row.spans.filter((span) => span.kind === "step" || span.kind === "attempt").map((span) => [span.from, span.until ?? until]));
  const pauses = pausesOf(from, until, busy);
  const scale = isShort && pauses.length ? shortenedScale(from, until, pauses) : evenScale(from, until, isPhone.value ? 4 : 8);
  const hidden = isWhole ? 0 : Math.max(0, rows.length - 2 * ROWS_AT_EACH_END);
  const shown = hidden ? [...rows.slice(0, ROWS_AT_EACH_END), ...rows.slice(-ROWS_AT_EACH_END)] : rows;
  return html`<div class="timeline">
    <div class="timeline-head">
      <span class="faint">${duration(until - from)} in all${taken ? `; ${count(taken, "step")} taken over from the run that this one repeats` : ""}</span>
      ${pauses.length > 0 && html`<label class="check"><input type="checkbox" checked=${isShort} onChange=${(event) => setShort(event.currentTarget.checked)} />Shorten pauses</label>`}
    </div>
    <${Axis} scale=${scale} />
    <div class="plot">
      <${Lines} scale=${scale} />
      <${Rows} rows=${shown} scale=${scale} until=${until} hidden=${hidden} onWhole=${() => setWhole(true)} onChoose=${onChoose} />
    </div>
  </div>`;
}

const percent = (share) => `${(share * 100).toFixed(3)}%`;

function Axis({ scale }) {
  return html`<div class="axis ${scale.pauses.length ? "has-pauses" : ""}" aria-hidden="true">
    ${scale.ticks.map((tick) => html`<span key=${tick.at} class=${tick.at > 0.94 ? "at-end" : tick.at < 0.03 ? "at-start" : ""} style=${{ left: percent(tick.at) }}>${tick.label}</span>`)}
    ${scale.pauses.map((pause) => html`<span key=${`p${pause.start}`} class="pause-label" style=${{ left: percent((pause.start + pause.end) / 2) }}>${pause.label}</span>`)}
  </div>`;
}

function Lines({ scale }) {
  return html`<div class="lines" aria-hidden="true">
    ${scale.ticks.map((tick) => html`<i key=${tick.at} style=${{ left: percent(tick.at) }}></i>`)}
    ${scale.pauses.map((pause) => html`<b key=${pause.start} style=${{ left: percent(pause.start), width: percent(pause.end - pause.start) }}></b>`)}
  </div>`;
}

/** The rows. One span at a time can be reached by Tab; the arrow keys go to the others. */
function Rows({ rows, scale, until, hidden, onWhole, onChoose }) {
  const [active, setActive] = useState("");
  const [stop, setStop] = useState("");
  const list = useRef(null);
  const keys = rows.flatMap((row) => row.spans.map((_, index) => `${row.key}/${index}`));
  const reachable = keys.includes(stop) ? stop : keys[0];

  function move(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") setActive("");
    const bars = [...list.current.querySelectorAll(".bar")];
    const place = bars.indexOf(event.target);
    const next = step && place >= 0 && bars[place + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  return html`<ol class="spans" ref=${list} onKeyDown=${move}>
    ${rows.map((row, index) => html`
      ${hidden > 0 && index === rows.length / 2 && html`<li key="hidden" class="hidden-rows"><button type="button" class="quiet" onClick=${onWhole}>Show ${count(hidden, "row")} in between</button></li>`}
      <${Row} key=${row.key} row=${row} scale=${scale} until=${until} active=${active} reachable=${reachable}
        onActive=${setActive} onStop=${setStop} onChoose=${onChoose} />`)}
  </ol>`;
}

function Row({ row, scale, until, active, reachable, onActive, onStop, onChoose }) {
  const track = useRef(null);
  const places = row.spans.map((span) => [scale.at(span.from), scale.at(span.until ?? until)]);
  const last = row.spans.at(-1);
  const length = (last.until ?? until) - row.spans[0].from;
  const chosen = row.spans.findIndex((_, index) => active === `${row.key}/${index}`);

  function near(event) {
    const { left, width } = track.current.getBoundingClientRect();
    const at = (event.clientX - left) / width;
    const away = ([start, end]) => Math.max(start - at, at - end, 0);
    const distances = places.map(away);
    onActive(`${row.key}/${distances.indexOf(Math.min(...distances))}`);
  }

  return html`<li class="span-row">
    <span class="span-name">
      <${Icon} name=${ICONS[row.kind]} />
      ${row.stepId ? html`<button type="button" class="link" title=${row.name} onClick=${() => onChoose(row.stepId)}>${row.name}</button>` : html`<span>${row.name}</span>`}
    </span>
    <span class="track" ref=${track} onPointerMove=${near} onPointerDown=${near} onPointerLeave=${() => onActive("")}>
      ${row.spans.length > 1 && html`<span class="between" style=${{ left: percent(places[0][0]), width: percent(places.at(-1)[1] - places[0][0]) }}></span>`}
      ${row.spans.map((span, index) => {
        const key = `${row.key}/${index}`;
        const [start, end] = places[index];
        return html`<span key=${key} role="img" aria-label=${told(row, span, until)} tabindex=${key === reachable ? 0 : -1}
          class="bar of-${span.kind} ${span.status.toLowerCase()} ${index === chosen ? "active" : ""}"
          style=${{ left: `min(${percent(start)}, 100% - 3px)`, width: `max(3px, ${percent(end - start)})` }}
          onFocus=${() => { onStop(key); onActive(key); }} onBlur=${() => onActive("")}></span>`;
      })}
      ${chosen >= 0 && html`<${Tip} row=${row} span=${row.spans[chosen]} until=${until} place=${places[chosen]} />`}
    </span>
    <span class="span-length number">${duration(length)}</span>
  </li>`;
}

const attemptOf = (span) => (span.attempt > 0 ? `, attempt ${span.attempt + 1}` : "");

function ends(span) {
  if (span.until === null) return "goes on";
  const isSameDay = new Date(span.from).toDateString() === new Date(span.until).toDateString();
  return isSameDay ? exactTime(span.until).slice(11) : exactTime(span.until);
}

/** All of a span in words. */
function told(row, span, until) {
  const end = span.until === null ? "it goes on" : `until ${exactTime(span.until)}`;
  const error = span.error ? `; ${span.error.name}: ${span.error.message}` : "";
  return `${row.name}${attemptOf(span)}, ${WORDS[span.kind]}: ${span.status}, ${duration((span.until ?? until) - span.from)}, from ${exactTime(span.from)}, ${end}${error}`;
}

function Tip({ row, span, until, place }) {
  const middle = Math.min(1, Math.max(0, (place[0] + place[1]) / 2));
  return html`<span class="tip" aria-hidden="true" style=${{ left: percent(middle), transform: `translateX(${percent(-middle)})` }}>
    <strong>${row.name}${attemptOf(span)}</strong>
    <span>${span.status}, ${duration((span.until ?? until) - span.from)}</span>
    <span class="number">${exactTime(span.from)} – ${ends(span)}</span>
    ${span.error && html`<span class="fault">${span.error.name}: ${span.error.message}</span>`}
  </span>`;
}
