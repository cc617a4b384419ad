// The list of runs.
import { ask } from "./api.js";
import { sendCommand } from "./command.js";
import { isFiltered, RangeFilter, SelectFilter, useRange } from "./filters.js";
import { duration, exactTime, ms, shortTime, soFar } from "./format.js";
import { Icon } from "./icons.js";
import { now } from "./live.js";
import { Command, Empty, Loading, Refused, Status, Time } from "./parts.js";
import { eventNames, useFunctions } from "./registered.js";
import { route, to } from "./route.js";
import { Announcer, ListFoot, NewOnTop, Table, useRows } from "./rows.js";
import { html } from "./ui.js";

export const STATUSES = ["Scheduled", "Running", "Completed", "Failed", "Cancelled"];
const idOf = (run) => run.run_id;

const COLUMNS = [
  { name: "main", title: "Function", cell: (run) => html`<${Name} run=${run} />` },
  { name: "badge", title: "Status", cell: (run) => html`<${Status} status=${run.status} />` },
  { name: "trigger", title: "Trigger", cell: (run) => html`<${Trigger} run=${run} />` },
  { name: "when", title: "Queued", cell: (run) => html`<${Time} at=${run.queued_at} />` },
  { name: "started", title: "Started", cell: (run) => html`<${Clock} at=${run.run_started_at} />` },
  { name: "ended", title: "Ended", cell: (run) => html`<${Clock} at=${run.ended_at} />` },
  { name: "length", title: "Duration", cell: (run) => html`<${Length} run=${run} />` },
];

function Name({ run }) {
  const error = run.error ?? run.last_error;
  return html`<a class="row-link" href=${to("runs", run.run_id)}>${run.function_id}</a>
    ${error && html` <span class="why ${run.status.toLowerCase()}">${error.message || error.name}</span>`}`;
}

/** What started a run: the event's name, or the times of a cron expression. */
export function Trigger({ run }) {
  if (run.cron) return html`<span class="cron"><${Icon} name="clock" /><span>${run.cron}</span></span>`;
  return run.event_name ?? "–";
}

function Clock({ at }) {
  const moment = ms(at);
  if (moment === null) return html`<span class="faint">–</span>`;
  return html`<time datetime=${at} title="${exactTime(moment)} here\n${at}">${shortTime(moment, now.value)}</time>`;
}

/** How long a run took, or takes already, from its first attempt on. */
export function Length({ run }) {
  const began = ms(run.run_started_at);
  if (began === null) return html`<span class="faint">–</span>`;
  if (run.ended_at) return html`<span class="number">${duration(ms(run.ended_at) - began)}</span>`;
  return html`<span class="number">${soFar(now.value - began)}</span>`;
}

export function RunList() {
  const { status = "", function: functionId = "" } = route.value.query;
  const { from, until } = useRange();
  const functions = useFunctions().data;
  const list = useRows(
    {
      idOf,
      headSize: 20,
      changing: true,
      fetchPage: ({ cursor, limit, abort }) =>
        ask("/v1/runs", { query: { function_id: functionId, status, from, until, cursor, limit }, signal: abort }),
    },
    [functionId, status, from, until],
  );
  return html`
    <div class="head"><h1>Runs</h1></div>
    <div class="filters">
      <${SelectFilter} name="function" label="Function" all="All functions" options=${functionIds(functions, functionId)} />
      <${SelectFilter} name="status" label="Status" all="All statuses" options=${STATUSES} />
      <${RangeFilter} />
    </div>
    ${list.error && html`<${Refused} error=${list.error} />`}
    ${!list.isReady && html`<${Loading} />`}
    ${list.isReady && !list.error && list.rows.length === 0 && html`<${NoRuns} suggestion=${eventNames(functions)[0]} />`}
    ${list.rows.length > 0 && html`
      <${NewOnTop} added=${list.added} one="run" />
      <${Table} label="Runs" list=${list} columns=${COLUMNS} idOf=${idOf} />
      <${ListFoot} list=${list} one="run" />`}
    <${Announcer} added=${list.added} one="run" />
  `;
}

/** Those of the registered functions, and the one that the address names. */
function functionIds(functions = [], chosen) {
  const ids = functions.map((one) => one.id);
  return chosen && !ids.includes(chosen) ? [chosen, ...ids] : ids;
}

function NoRuns({ suggestion = "app/user.signup" }) {
  const { range, from, until } = route.value.query;
  if (isFiltered("function", "status")) {
    return html`<${Empty} title="No such run in this time">
      <p>Choose a longer time, or <a href=${to("runs", { range, from, until })}>show the runs of all functions and statuses</a>.</p>
    </${Empty}>`;
  }
  return html`<${Empty} title="No runs in this time">
    <p>An event starts the functions that it triggers. Send one:</p>
    <${Command} text=${sendCommand(suggestion)} />
  </${Empty}>`;
}
