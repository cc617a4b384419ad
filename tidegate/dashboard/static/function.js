// One function: what starts it, how it is set up, how its runs went, and what can be done.
import { ask } from "./api.js";
import { DurationChart, Legend, RunsChart } from "./charts.js";
import { invokeCommand, sendCommand } from "./command.js";
import { DeadLetters, MATCHER } from "./dead-letters.js";
import { RangeFilter, useRange } from "./filters.js";
import { duration } from "./format.js";
import { Triggers } from "./functions.js";
import { Icon } from "./icons.js";
import { InvokeDialog } from "./invoke.js";
import { CancelDialog, endedOf, Jobs, ReplayDialog, useJobs } from "./jobs.js";
import { useLive } from "./live.js";
import { Command, Empty, Facts, Id, Loading, Refused, Section, Status, Time } from "./parts.js";
import { route, to } from "./route.js";
import { Length } from "./runs.js";
import { useStats } from "./stats.js";
import { html, useState } from "./ui.js";

const LATEST_RUNS = 10;

export function FunctionPage({ id }) {
  return id === MATCHER ? html`<${MatcherPage} />` : html`<${OneFunction} id=${id} />`;
}

/** What wakes runs is no function, but it has dead letters like one. */
function MatcherPage() {
  const jobs = useJobs(MATCHER);
  return html`
    <nav class="crumbs" aria-label="Breadcrumb"><a href=${to("functions")}>Functions</a></nav>
    <div class="head"><h1>Matcher</h1><span class="hint">brings events to the runs that wait for them</span></div>
    <${DeadLetters} functionId=${MATCHER} ended=${endedOf(jobs.data)} onStarted=${jobs.again} />
    <${Jobs} jobs=${jobs.data} onChange=${jobs.again} />
  `;
}

function OneFunction({ id }) {
  const path = `/v1/functions/${encodeURIComponent(id)}`;
  const found = useLive(async (abort) => (await ask(path, { signal: abort })).data, [id], 10_000);
  if (found.error) return html`<${NotThere} error=${found.error} />`;
  if (!found.data) return html`<${Loading} />`;
  return html`<${Known} one=${found.data} />`;
}

function Known({ one }) {
  const [dialog, setDialog] = useState("");
  const range = useRange();
  const runs = useLive(
    async (abort) => (await ask("/v1/runs", { query: { function_id: one.id, ...range, limit: LATEST_RUNS }, signal: abort })).data,
    [one.id, range.from, range.until],
  );
  const pulse = (runs.data ?? []).map((run) => run.run_id + run.status).join();
  const stats = useStats(one.id, range, pulse);
  const jobs = useJobs(one.id);
  const close = () => setDialog("");
  return html`
    <nav class="crumbs" aria-label="Breadcrumb"><a href=${to("functions")}>Functions</a></nav>
    <div class="head"><h1>${one.name}</h1>
      <div class="actions">
        <button type="button" onClick=${() => setDialog("cancel")}><${Icon} name="stop" />Cancel runs</button>
        ${!one.removed && html`<button type="button" onClick=${() => setDialog("replay")}><${Icon} name="again" />Replay failed runs</button>
        <button type="button" class="primary" onClick=${() => setDialog("invoke")}><${Icon} name="play" />Invoke</button>`}
      </div>
    </div>
    <${Setup} one=${one} />
    <div class="filters"><${RangeFilter} /></div>
    <${DeadLetters} functionId=${one.id} ended=${endedOf(jobs.data)} onStarted=${jobs.again} />
    <${History} stats=${stats} />
    <${Jobs} jobs=${jobs.data} onChange=${jobs.again} />
    <${LatestRuns} one=${one} runs=${runs} />
    ${dialog === "invoke" && html`<${InvokeDialog} one=${one} onClose=${close} onStarted=${runs.again} />`}
    ${dialog === "replay" && html`<${ReplayDialog} functionId=${one.id} range=${range} onClose=${close} onStarted=${jobs.again} />`}
    ${dialog === "cancel" && html`<${CancelDialog} one=${one} range=${range} onClose=${close} onStarted=${jobs.again} />`}
  `;
}

function Setup({ one }) {
  if (one.removed) {
    return html`<${Facts} facts=${[
      ["Removed", "It is gone from the code. A run that sleeps, waits or is to be retried is ended when it goes on; “Cancel runs” ends all of them now."],
      ["Id", html`<${Id} id=${one.id} />`],
    ]} />`;
  }
  const { config } = one;
  const { start_ms: start, finish_ms: finish } = config.timeouts ?? {};
  return html`<${Facts} facts=${[
    ["Triggers", html`<${Triggers} triggers=${one.triggers} />`],
    ["Id", html`<${Id} id=${one.id} />`],
    ["Retries", `${one.retries} after the first failure`],
    ["Time of one invocation", `at most ${duration(config.timeout_s * 1000)}`],
    ["Concurrency", `${config.max_concurrency} invocations of up to ${config.batch_size} messages`],
    ["Queue", `hides a message for ${duration(config.visibility_timeout_s * 1000)}, gives it up after ${config.max_receive_count} receives`],
    ["Idempotency key", config.idempotency && html`<code>${config.idempotency}</code>`],
    ["Cancelled by", config.cancel && html`<${CancelledBy} cancel=${config.cancel} />`],
    ["Cancelled unless it starts", start !== undefined && `within ${duration(start)}`],
    ["Cancelled unless it ends", finish !== undefined && `within ${duration(finish)}`],
    ["On failure", config.on_failure && html`<a href=${to("functions", config.on_failure)}>${config.on_failure}</a>`],
  ]} />`;
}

function CancelledBy({ cancel }) {
  return html`<ul class="triggers">
    ${cancel.map((by) => html`<li key=${by.event}><${Icon} name="stop" /><span><code>${by.event}</code>
      ${by.if && html` <span class="faint">if <code>${by.if}</code></span>`}
      ${by.timeout_ms && html` <span class="faint">within ${duration(by.timeout_ms)}</span>`}</span></li>`)}
  </ul>`;
}

function History({ stats }) {
  const { data, error } = stats;
  return html`<${Section} title="How its runs went" actions=${data && html`<${Legend} stats=${data} />`}>
    ${error && html`<${Refused} error=${error} />`}
    <div class="charts">
      ${data ? html`<${RunsChart} stats=${data} /><${DurationChart} stats=${data} />` : !error && html`<${Loading} />`}
    </div>
    ${data && html`<p class="hint chart-key"><span><i class="key p50"></i>half of the runs took no longer</span><span><i class="key p95"></i>95 of 100 took no longer</span>${!data.complete && html`<span>Only the newest runs of this time are counted; there are more.</span>`}</p>`}
  </${Section}>`;
}

function LatestRuns({ one, runs }) {
  const { range, from, until } = route.value.query;
  const all = html`<a href=${to("runs", { function: one.id, range, from, until })}>All runs</a>`;
  const example = one.triggers.find((trigger) => trigger.event && !trigger.event.includes("*"));
  return html`<${Section} title="Latest runs" actions=${all}>
    ${runs.error && html`<${Refused} error=${runs.error} />`}
    ${!runs.error && !runs.data && html`<${Loading} />`}
    ${runs.data?.length === 0 && one.removed && html`<${Empty} title="No runs in this time" />`}
    ${runs.data?.length === 0 && !one.removed && html`<${Empty} title="No runs in this time">
      <p>“Invoke” starts one, and so does, from a shell:</p>
      <${Command} text=${example ? sendCommand(example.event) : invokeCommand(one.id)} />
    </${Empty}>`}
    ${runs.data?.length > 0 && html`<ul class="cards tight" aria-label="Latest runs">
      ${runs.data.map((run) => html`<li key=${run.run_id} class="card">
        <a class="row-link ident" href=${to("runs", run.run_id)}>${run.run_id}</a>
        ${run.error && html`<span class="why ${run.status.toLowerCase()}">${run.error.message || run.error.name}</span>`}
        <span class="card-status"><${Status} status=${run.status} /></span>
        <span class="card-length"><${Length} run=${run} /></span>
        <span class="card-when faint"><${Time} at=${run.queued_at} /></span>
      </li>`)}
    </ul>`}
  </${Section}>`;
}

function NotThere({ error }) {
  if (error.status !== 404) return html`<${Refused} error=${error} />`;
  return html`<${Empty} title="There is no such function">
    <p>None of that id is registered now; its runs can still be found. <a href=${to("functions")}>Show all functions</a></p>
  </${Empty}>`;
}
