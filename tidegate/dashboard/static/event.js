// One event: what was sent, and the runs that it caused.
import { ask } from "./api.js";
import { duration, ms } from "./format.js";
import { Icon } from "./icons.js";
import { now, useLive } from "./live.js";
import { Empty, ExactTime, Facts, Id, Json, Loading, Refused, Section, Status, Time } from "./parts.js";
import { go, to } from "./route.js";
import { SendDialog } from "./send.js";
import { html, useState } from "./ui.js";

export function EventPage({ id }) {
  const [isSending, setSending] = useState(false);
  const found = useLive(async (abort) => (await ask(`/v1/events/${id}`, { signal: abort })).data, [id], 30_000);
  const event = found.data;
  if (found.error) return html`<${NotThere} error=${found.error} />`;
  if (!event) return html`<${Loading} />`;
  const isSystem = event.name.startsWith("inngest/");
  return html`
    <nav class="crumbs" aria-label="Breadcrumb"><a href=${to("events")}>Events</a></nav>
    <div class="head"><h1 class="name">${event.name}</h1>
      ${!isSystem && event.data !== null && html`<button type="button" onClick=${() => setSending(true)}><${Icon} name="again" />Send again</button>`}</div>
    <${Facts} facts=${[
      ["Id", html`<${Id} id=${event.internal_id} />`],
      ["Received", html`<${ExactTime} at=${event.received_at} />`],
      ["Sender's id", event.id !== event.internal_id && event.id],
      ["Time of the event", event.ts !== null && Math.abs(event.ts - ms(event.received_at)) > 1_000 && html`<${ExactTime} at=${event.ts} />`],
      ["Version", event.v],
      ["Environment", event.environment],
    ]} />
    <${Runs} id=${id} name=${event.name} />
    <${Section} title="Data">${event.data === null ? html`<p class="notice">${event.note}</p>` : html`<${Json} value=${event.data} label="The event's data" />`}</${Section}>
    ${event.user && html`<${Section} title="User"><${Json} value=${event.user} label="The event's user" /></${Section}>`}
    ${isSending && html`<${SendDialog} event=${event} onClose=${() => setSending(false)} onSent=${(sent) => go(to("events", sent))} />`}
  `;
}

function Runs({ id, name }) {
  const runs = useLive(async (abort) => (await ask(`/v1/events/${id}/runs`, { signal: abort })).data, [id]);
  if (runs.error) return html`<${Section} title="Runs"><${Refused} error=${runs.error} /></${Section}>`;
  if (!runs.data) return html`<${Section} title="Runs"><${Loading} /></${Section}>`;
  return html`<${Section} title="Runs">
    ${runs.data.length === 0
      ? html`<p class="notice">It started no function: none is triggered by <code>${name}</code>, or a run has not been recorded yet.</p>`
      : html`<ul class="cards" aria-label="Runs of this event">${runs.data.map((run) => html`<${RunCard} key=${run.run_id} run=${run} />`)}</ul>`}
  </${Section}>`;
}

function RunCard({ run }) {
  const began = ms(run.run_started_at);
  const ended = ms(run.ended_at) ?? now.value;
  const error = run.last_error ?? run.output;
  const isFailure = Boolean(run.last_error) || (run.status === "Failed" && run.output);
  return html`<li class="card">
    <a class="row-link" href=${to("runs", run.run_id)}>${run.function_id}</a>
    ${isFailure && html`<span class="why">${error.message || error.name}</span>`}
    <${Status} status=${run.status} />
    <span class="number faint">${began === null ? html`queued <${Time} at=${run.queued_at} />` : duration(ended - began)}</span>
  </li>`;
}

function NotThere({ error }) {
  if (error.status !== 404) return html`<${Refused} error=${error} />`;
  return html`<${Empty} title="There is no such event">
    <p>It is not in this environment, or its retention has ended. <a href=${to("events")}>Show all events</a></p>
  </${Empty}>`;
}
