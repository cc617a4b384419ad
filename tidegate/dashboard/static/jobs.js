// Bulk jobs of a function: replays, cancellations, recoveries, and redrives of dead letters.
import { ask } from "./api.js";
import { local, moment } from "./filters.js";
import { count, exactTime, ms } from "./format.js";
import { now, useLive } from "./live.js";
import { ActionButton, Dialog, Section, Status, tell, Time } from "./parts.js";
import { html, useState } from "./ui.js";

const KINDS = {
  replay: { path: "/v1/replays", title: "Replay", of: "run", done: "started again" },
  event_replay: { path: "/v1/event_replays", title: "Replay of events", of: "event", done: "replayed" },
  cancellation: { path: "/v1/cancellations", title: "Cancellation", of: "run", done: "cancelled" },
  recovery: { path: "/v1/recoveries", title: "Recovery", of: "run or event", many: "runs and events", done: "recovered" },
  redrive: { path: "/v1/redrives", title: "Redrive", of: "dead letter", done: "put back" },
  dead_letter_deletion: { path: "/v1/dead_letter_deletions", title: "Deletion", of: "dead letter", done: "deleted" },
};
const OF_LETTERS = ["redrive", "dead_letter_deletion"];
const EVERY_MS = 1_500;

/** The latest jobs of a function, newest first. */
export function useJobs(functionId) {
  return useLive(async (abort) => {
    const lists = await Promise.all(Object.values(KINDS).map(({ path }) => ask(path, { query: { limit: 100 }, signal: abort })));
    const jobs = lists.flatMap((list) => list.data).filter((job) => job.function_id === functionId);
    return jobs.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, 10);
  }, [functionId], EVERY_MS);
}

/** Which of its jobs about dead letters have ended. */
export function endedOf(jobs = []) {
  return jobs.filter((job) => OF_LETTERS.includes(job.kind) && job.status !== "Running").map((job) => job.id).join();
}

export function Jobs({ jobs, onChange }) {
  if (!jobs?.length) return null;
  return html`<${Section} title="Jobs">
    <ul class="cards" aria-label="Jobs">${jobs.map((job) => html`<${Job} key=${job.id} job=${job} onChange=${onChange} />`)}</ul>
  </${Section}>`;
}

function Job({ job, onChange }) {
  const kind = KINDS[job.kind];
  const rest = job.found - job.done - job.skipped;
  async function stop() {
    await ask(`${kind.path}/${job.id}`, { method: "DELETE" });
    tell("Stopped. What it has done stays done.");
    onChange();
  }
  return html`<li class="card job">
    <strong>${kind.title}</strong> <${Status} status=${job.status} />
    <span class="number" role="status">${count(job.done, kind.of, kind.many)} ${kind.done}${job.skipped > 0 ? `, ${job.skipped.toLocaleString("en")} skipped` : ""}${rest > 0 ? `, ${rest.toLocaleString("en")} to go` : ""}</span>
    <span class="faint job-range">${range(job)}${job.if ? html`, if <code>${job.if}</code>` : ""}; started <${Time} at=${job.created_at} /></span>
    ${job.status === "Running" && html`<${ActionButton} icon="stop" kind="small" onAct=${stop}>Stop</${ActionButton}>`}
    ${job.note && html`<p class="job-note hint">${job.note}</p>`}
  </li>`;
}

/** What a job is about. */
function range(job) {
  const time = `from ${shortMoment(job.from)} until ${shortMoment(job.until)}`;
  if (OF_LETTERS.includes(job.kind)) return job.message_ids ? count(job.message_ids.length, "chosen message") : `Messages ${time}`;
  if (job.kind === "replay") return `${job.run_statuses.join(" and ")} runs ${time}`;
  return `${job.kind === "event_replay" ? "Events" : "Runs"} ${time}`;
}

const shortMoment = (at) => exactTime(ms(at)).slice(0, 16);

/** A form in a dialog that starts a job, for a range of time. */
function JobDialog({ title, range, submitLabel, kind = "primary", onClose, onSubmit, children, hint }) {
  const [from, setFrom] = useState(local(ms(range.from) ?? now.peek() - 86_400_000));
  const [until, setUntil] = useState(range.until ? local(ms(range.until)) : "");
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setFault("");
    try {
      await onSubmit(moment(from), moment(until));
      onClose();
    } catch (error) {
      setFault(error.message);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form class="editor" onSubmit=${submit}>
      <p>${hint}</p>
      <div class="pair">
        <label>From <input type="datetime-local" required value=${from} onInput=${(event) => setFrom(event.currentTarget.value)} /></label>
        <label>Until <input type="datetime-local" value=${until} onInput=${(event) => setUntil(event.currentTarget.value)} /><span class="hint">Empty: now.</span></label>
      </div>
      ${children}
      <p class="fault" role="alert">${fault}</p>
      <footer><button type="button" onClick=${onClose}>Close</button><button class=${kind} disabled=${isBusy} aria-busy=${isBusy}>${submitLabel}</button></footer>
    </form>
  </${Dialog}>`;
}

export function ReplayDialog({ functionId, range, onClose, onStarted }) {
  const [statuses, setStatuses] = useState(["Failed"]);
  const change = (status) => (event) => setStatuses(event.currentTarget.checked ? [...statuses, status] : statuses.filter((one) => one !== status));
  async function start(from, until) {
    if (statuses.length === 0) throw new Error("Choose which runs: those that failed, those that were cancelled, or both.");
    await ask("/v1/replays", { method: "POST", body: { function_id: functionId, from, status: statuses, ...(until && { until }) } });
    tell("The replay has begun.");
    onStarted();
  }
  return html`<${JobDialog} title="Replay failed runs" submitLabel="Start replay" range=${range} onClose=${onClose} onSubmit=${start}
    hint="Each of these runs begins again, as a new run with the same event and the code that is deployed now.">
    <fieldset><legend>Which runs</legend>
      ${["Failed", "Cancelled"].map((status) => html`<label key=${status} class="check"><input type="checkbox" checked=${statuses.includes(status)} onChange=${change(status)} />${status}</label>`)}
    </fieldset>
  </${JobDialog}>`;
}

export function CancelDialog({ one, range, onClose, onStarted }) {
  const [expression, setExpression] = useState("");
  async function start(from, until) {
    const started_before = until || new Date(now.peek()).toISOString();
    const body = { app_id: one.app_id, function_id: one.id, started_after: from, started_before, ...(expression.trim() && { if: expression.trim() }) };
    await ask("/v1/cancellations", { method: "POST", body });
    tell("The cancellation has begun.");
    onStarted();
  }
  return html`<${JobDialog} title="Cancel runs" submitLabel="Start cancellation" kind="danger" range=${range} onClose=${onClose} onSubmit=${start}
    hint="All runs of this function from this time that have not ended are cancelled; one that is in a step ends behind it.">
    <label>Only if
      <input value=${expression} onInput=${(event) => setExpression(event.currentTarget.value)} placeholder="event.data.total > 100" spellcheck=${false} autocomplete="off" autocapitalize="off" />
      <span class="hint">An expression that has to hold of the run's event. Empty: all of them.</span>
    </label>
  </${JobDialog}>`;
}
