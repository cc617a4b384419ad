// The steps of a run: what each gave, its attempts, and a way to run again from there.
import { ask } from "./api.js";
import { count, duration, exactTime, ms, relativeTime } from "./format.js";
import { Icon } from "./icons.js";
import { now } from "./live.js";
import { ActionButton, ExactTime, Failure, Id, Json, Refused, Status } from "./parts.js";
import { html, useEffect, useRef, useState } from "./ui.js";

const STEPS_AT_EACH_END = 40;
const OPS = { run: "Step", sleep: "Sleep", wait_for_event: "Wait for an event", invoke: "Invoked function" };
const ICONS = { run: "play", sleep: "sleep", wait_for_event: "Waiting", invoke: "functions" };

/** A step's name; the second use of a name in a run has a number. */
export function stepName(step) {
  return step.index ? `${step.name} #${step.index + 1}` : step.name;
}

/** The list of steps.
 *
 * `since`, UTC ms, is when the run was asked for: what ended before is another run's; `running` are
 * the ids of those that a worker is in; `chosen`, `{ id }`, is to be opened; `onRerun`
 * is called with a step's id, and is null while the run goes on.
 */
export function Steps({ runId, steps, since, running, chosen, onRerun, hasEnded }) {
  const [isWhole, setWhole] = useState(false);
  const place = chosen ? steps.findIndex((step) => step.step_id === chosen.id) : -1;
  const isAmongHidden = place >= STEPS_AT_EACH_END && place < steps.length - STEPS_AT_EACH_END;
  const hidden = isWhole || isAmongHidden ? 0 : Math.max(0, steps.length - 2 * STEPS_AT_EACH_END);
  const shown = hidden ? [...steps.slice(0, STEPS_AT_EACH_END), ...steps.slice(-STEPS_AT_EACH_END)] : steps;
  return html`<ol class="steps">
    ${shown.map((step, index) => html`
      ${hidden > 0 && index === STEPS_AT_EACH_END && html`<li key="hidden" class="hidden-rows"><button type="button" class="quiet" onClick=${() => setWhole(true)}>Show ${count(hidden, "step")} in between</button></li>`}
      <${Step} key=${step.step_id} runId=${runId} step=${step} status=${statusOf(step, running, hasEnded)} isTaken=${isTaken(step, since)}
        chosen=${chosen?.id === step.step_id ? chosen : null} onRerun=${onRerun} />`)}
  </ol>`;
}

/** Whether a step was taken over from the run that this one repeats. */
export function isTaken(step, since) {
  return step.ended_at !== null && ms(step.ended_at) < since;
}

function statusOf(step, running, hasEnded) {
  if (step.status !== "Waiting") return step.status;
  if (hasEnded) return "Cancelled";
  return running.has(step.step_id) ? "Running" : "Waiting";
}

function Step({ runId, step, status, isTaken: isOld, chosen, onRerun }) {
  const [isOpen, setOpen] = useState(status === "Failed");
  const element = useRef(null);
  const body = `step-${step.step_id}`;
  const name = stepName(step);
  useEffect(() => {
    if (!chosen) return;
    setOpen(true);
    element.current.scrollIntoView({ block: "start" });
    element.current.querySelector("button").focus({ preventScroll: true });
  }, [chosen]);
  const began = ms(step.started_at);
  return html`<li class="step" ref=${element}>
    <div class="step-head">
      <button type="button" class="step-name" aria-expanded=${isOpen} aria-controls=${isOpen ? body : undefined} onClick=${() => setOpen(!isOpen)}>
        <${Icon} name="more" /><${Icon} name=${ICONS[step.op]} /><span>${name}</span>
      </button>
      <span class="step-attempts faint">${isOld ? "taken over" : step.attempts.length > 1 && count(step.attempts.length, "attempt")}</span>
      <span class="step-status"><${Status} status=${status} /></span>
      <span class="step-length number faint">${step.ended_at ? duration(ms(step.ended_at) - began) : ""}</span>
      ${onRerun && html`<${ActionButton} icon="again" kind="small" label="Rerun from here: ${name}" onAct=${() => onRerun(step.step_id)}>Rerun from here</${ActionButton}>`}
    </div>
    ${(status === "Waiting" || status === "Running") && html`<p class="step-wait"><${WaitsFor} step=${step} status=${status} /></p>`}
    ${isOpen && html`<div class="step-body" id=${body}><${Details} runId=${runId} step=${step} /></div>`}
  </li>`;
}

/** For what a step waits, and until when. */
function WaitsFor({ step, status }) {
  if (status === "Running") return html`Attempt ${step.attempt + 1} is running.`;
  const due = step.due_at && html` <${ExactTime} at=${step.due_at} /> (${relativeTime(ms(step.due_at), now.value)})`;
  if (step.op === "sleep") return html`Sleeps until${due}.`;
  if (step.op === "wait_for_event") return html`Waits for the event <code>${step.event_name}</code>, until${due} at the latest.`;
  if (step.op === "invoke") return html`Waits for the function that it invoked, until${due} at the latest.`;
  return due ? html`Attempt ${step.attempt + 1} is due at${due}.` : html`Waits for a worker.`;
}

function Details({ runId, step }) {
  return html`
    <dl class="step-facts">
      <div><dt>Kind</dt><dd>${OPS[step.op]}</dd></div>
      <div><dt>Started</dt><dd><${ExactTime} at=${step.started_at} /></dd></div>
      <div><dt>Ended</dt><dd><${ExactTime} at=${step.ended_at} /></dd></div>
      ${step.event_name && html`<div><dt>Event</dt><dd><code>${step.event_name}</code></dd></div>`}
      <div><dt>Step id</dt><dd><${Id} id=${step.step_id} /></dd></div>
    </dl>
    ${(step.attempts.length > 1 || step.attempts.some((one) => one.error)) && html`<${Attempts} step=${step} />`}
    <${Outcome} runId=${runId} step=${step} />
  `;
}

function Attempts({ step }) {
  const earlier = step.attempts[0].attempt;
  return html`
    ${earlier > 0 && html`<p class="hint">The first ${count(earlier, "attempt")} are not kept.</p>`}
    <table class="attempts" aria-label="Attempts of ${stepName(step)}">
      <thead><tr><th scope="col">Attempt</th><th scope="col">Started</th><th scope="col">Took</th><th scope="col">Outcome</th></tr></thead>
      <tbody>${step.attempts.map((one) => html`<tr key=${one.attempt}>
        <td>${one.attempt + 1}</td>
        <td><time datetime=${one.started_at} title=${one.started_at}>${exactTime(ms(one.started_at)).slice(11)}</time></td>
        <td>${duration(ms(one.ended_at) - ms(one.started_at))}</td>
        <td>${one.error ? html`<span class="fault">${one.error.name}: ${one.error.message}</span>` : "Completed"}</td>
      </tr>`)}</tbody>
    </table>`;
}

/** What a step gave, or why it failed; what is too long for the list of steps is asked for. */
function Outcome({ runId, step }) {
  const [whole, setWhole] = useState(null);
  const [error, setError] = useState(null);
  async function load() {
    try {
      setWhole((await ask(`/v1/runs/${runId}/steps/${step.step_id}`)).data);
    } catch (refusal) {
      setError(refusal);
    }
  }
  const { output, error: failure, note } = whole ?? step;
  if (error) return html`<${Refused} error=${error} />`;
  if (failure) return html`<${Failure} error=${failure} label="Error of ${stepName(step)}" />`;
  if (note && output === undefined) return html`<p class="notice">The output is too long for a list. <button type="button" class="link" onClick=${load}>Show it</button></p>`;
  if (note) return html`<p class="notice">${note}</p>`;
  if (output === undefined) return null;
  if (step.op === "wait_for_event" && output === null) return html`<p class="notice">No such event came in time.</p>`;
  return html`<${Json} value=${output} label="Output of ${stepName(step)}" />`;
}
