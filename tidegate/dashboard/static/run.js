// One run: how it went, what it was given and what it gave, and what can be done about it.
import { ask } from "./api.js";
import { ms, relativeTime, ulidMs } from "./format.js";
import { now, useLive } from "./live.js";
import { ActionButton, Empty, ExactTime, Facts, Failure, Id, Json, Loading, Refused, Section, Status, tell } from "./parts.js";
import { go, to } from "./route.js";
import { Length, Trigger } from "./runs.js";
import { Steps } from "./steps.js";
import { Timeline } from "./timeline.js";
import { html, useRef, useState } from "./ui.js";

// A run is recorded when a worker takes it, within moments.
const FRESH_MS = 30_000;

export function RunPage({ id }) {
  const { data, error, again } = useRun(id);
  const [chosen, setChosen] = useState(null);
  if (error) return html`<${NotThere} id=${id} error=${error} />`;
  if (!data) return html`<${Loading} />`;
  const { run, timeline, steps } = data;
  const hasEnded = run.ended_at !== null;
  const running = new Set(timeline.spans.filter((span) => span.status === "Running").map((span) => span.step_id));
  const since = ms(timeline.spans.find((span) => span.kind === "queue").started_at);
  const rerun = hasEnded ? (stepId) => runAgain(run, stepId) : null;

  async function cancel() {
    const { data: cancelled } = await ask(`/v1/runs/${id}`, { method: "DELETE" });
    if (cancelled.ended_at === null) tell("Cancelling. It ends when the step that it is in has ended.");
    else tell(cancelled.status === "Cancelled" ? "Cancelled." : `It had ended already: ${cancelled.status}.`);
    again();
  }

  return html`
    <nav class="crumbs" aria-label="Breadcrumb"><a href=${to("runs")}>Runs</a></nav>
    <div class="head">
      <div class="title"><h1 class="name">${run.function_id}</h1><${Status} status=${run.status} /></div>
      <div class="actions">
        ${hasEnded
          ? html`<${ActionButton} key="rerun" icon="again" onAct=${() => rerun()}>Rerun</${ActionButton}>`
          : html`<${ActionButton} key="cancel" icon="stop" kind="danger" onAct=${cancel}>Cancel run</${ActionButton}>`}
      </div>
    </div>
    <${RunFacts} run=${run} />
    <${Error} run=${run} />
    <${Section} title="Timeline"><${Timeline} timeline=${timeline} steps=${steps} since=${since} onChoose=${(stepId) => setChosen({ id: stepId })} /></${Section}>
    ${steps.length > 0 && html`<${Section} title="Steps">
      <${Steps} runId=${id} steps=${steps} since=${since} running=${running} chosen=${chosen} onRerun=${rerun} hasEnded=${hasEnded} />
    </${Section}>`}
    <${Output} run=${run} />
    <${Input} eventId=${run.event_id} />
  `;
}

/** A run with its timeline and its steps, which are asked for while they may change. */
function useRun(id) {
  const before = useRef(null);
  async function load(abort) {
    const known = before.current;
    if (known?.run.ended_at) return known;
    const get = async (path) => (await ask(`/v1/runs/${id}${path}`, { signal: abort })).data;
    const run = await get("");
    // One that sleeps or waits changes nothing but its record when it goes on.
    const isStill = ms(run.next_attempt_at) > now.peek() && JSON.stringify(run) === JSON.stringify(known?.run);
    if (isStill) return known;
    const [timeline, steps] = await Promise.all([get("/timeline"), get("/steps")]);
    before.current = { run, timeline, steps };
    return before.current;
  }
  return useLive(load, [id]);
}

async function runAgain(run, stepId) {
  const body = stepId ? { from_step: stepId } : {};
  const { data } = await ask(`/v1/runs/${run.run_id}/rerun`, { method: "POST", body });
  tell(stepId ? "Running again from that step." : "Running again.");
  go(to("runs", data.run_id));
}

function RunFacts({ run }) {
  const due = run.next_attempt_at;
  return html`<${Facts} facts=${[
    ["Run id", html`<${Id} id=${run.run_id} />`],
    ["Function", html`<a href=${to("functions", run.function_id)}>${run.function_id}</a>`],
    ["Event", html`<a href=${to("events", run.event_id)}>${run.event_name ?? run.event_id}</a>`],
    ["Duration", html`<${Length} run=${run} />`],
    ["Trigger", run.cron && html`<${Trigger} run=${run} />`],
    ["Queued", html`<${ExactTime} at=${run.queued_at} />`],
    ["Started", html`<${ExactTime} at=${run.run_started_at} />`],
    ["Ended", html`<${ExactTime} at=${run.ended_at} />`],
    [run.last_error ? "Next attempt" : "Goes on", due && html`<${ExactTime} at=${due} /> <span class="faint">(${relativeTime(ms(due), now.value)})</span>`],
    ["Attempts", run.attempt > 0 && String(run.attempt + 1)],
    ["Rerun of", run.original_run_id && html`<${Id} id=${run.original_run_id} href=${to("runs", run.original_run_id)} />`],
    ["Replay", run.replay_id && html`<${Id} id=${run.replay_id} />`],
  ]} />`;
}

function Error({ run }) {
  if (run.last_error) return html`<${Section} title="Error of the latest attempt"><${Failure} error=${run.last_error} /></${Section}>`;
  if (!run.output) return null;
  if (run.status === "Cancelled") return html`<p class="notice section">${run.output.message}</p>`;
  return run.status === "Failed" && html`<${Section} title="Error"><${Failure} error=${run.output} /></${Section}>`;
}

function Output({ run }) {
  if (run.note) return html`<${Section} title="Output"><p class="notice">${run.note}</p></${Section}>`;
  if (run.status !== "Completed") return null;
  return html`<${Section} title="Output"><${Json} value=${run.output} label="The run's output" /></${Section}>`;
}

function Input({ eventId }) {
  const found = useLive(async (abort) => (await ask(`/v1/events/${eventId}`, { signal: abort })).data, [eventId], 60_000);
  const event = found.data;
  return html`<${Section} title="Input">
    ${found.error && html`<p class="notice">${found.error.status === 404 ? "The event is no longer stored." : found.error.message}</p>`}
    ${!found.error && !event && html`<${Loading} />`}
    ${event && (event.data === null ? html`<p class="notice">${event.note}</p>` : html`<${Json} value=${event.data} label="The data of the run's event" />`)}
  </${Section}>`;
}

function NotThere({ id, error }) {
  const age = now.value - ulidMs(id);
  if (error.status === 404 && age < FRESH_MS) return html`<p class="loading" role="status">Waiting for a worker to take the run…</p>`;
  if (error.status !== 404) return html`<${Refused} error=${error} />`;
  return html`<${Empty} title="There is no such run">
    <p>It is not in this environment, or its retention has ended. <a href=${to("runs")}>Show all runs</a></p>
  </${Empty}>`;
}
