// The list of registered functions, with how their runs went.
import { Legend, Spark } from "./charts.js";
import { DeadLetterMark, MATCHER, useDeadLetterCounts } from "./dead-letters.js";
import { TextFilter } from "./filters.js";
import { duration } from "./format.js";
import { Icon } from "./icons.js";
import { Command, Empty, Loading, Refused } from "./parts.js";
import { useFunctions } from "./registered.js";
import { route, to } from "./route.js";
import { usePulses, useStats } from "./stats.js";
import { html, useEffect, useMemo, useRef, useState } from "./ui.js";

const FILTERED_FROM = 8;

export function FunctionList() {
  const found = useFunctions();
  const pulses = usePulses();
  const dead = useDeadLetterCounts().data ?? {};
  const { name = "" } = route.value.query;
  const functions = found.data;
  const shown = (functions ?? []).filter((one) => textOf(one).includes(name.toLowerCase()));
  return html`
    <div class="head"><h1>Functions</h1><span class="hint">with the runs of the last 24 hours</span></div>
    ${(functions?.length >= FILTERED_FROM || name) && html`<div class="filters"><${TextFilter} name="name" label="Function or trigger" placeholder="All functions" /></div>`}
    ${dead[MATCHER] > 0 && html`<div class="notice bad">The matcher, which wakes runs, has <${DeadLetterMark} id=${MATCHER} number=${dead[MATCHER]} /></div>`}
    ${found.error && html`<${Refused} error=${found.error} />`}
    ${!found.error && !functions && html`<${Loading} />`}
    ${functions?.length === 0 && html`<${NoFunctions} />`}
    ${functions?.length > 0 && shown.length === 0 && html`<${Empty} title="No such function"><p>None has <code>${name}</code> in its id, its name or a trigger. <a href=${to("functions")}>Show all functions</a></p></${Empty}>`}
    ${shown.length > 0 && html`<ul class="cards" aria-label="Functions">
      ${shown.map((one) => html`<${FunctionCard} key=${one.id} one=${one} pulse=${pulses[one.id] ?? ""} dead=${dead[one.id]} />`)}
    </ul>`}
  `;
}

function textOf(one) {
  const triggers = one.triggers.map((trigger) => trigger.event ?? trigger.cron);
  return [one.id, one.name, ...triggers].join(" ").toLowerCase();
}

function FunctionCard({ one, pulse, dead }) {
  const card = useRef(null);
  const isSeen = useSeen(card);
  const range = useMemo(() => ({ from: "", until: "" }), []);
  const stats = useStats(one.id, range, pulse, isSeen);
  return html`<li class="card function" ref=${card}>
    <div class="function-name"><a class="row-link" href=${to("functions", one.id)}>${one.name}</a><span class="ident">${one.id}</span><${DeadLetterMark} id=${one.id} number=${dead} /></div>
    ${one.removed ? html`<p class="triggers faint">removed: its runs that wait are ended</p>` : html`<${Triggers} triggers=${one.triggers} />`}
    <div class="function-stats"><${Spark} stats=${stats.data} /><${Legend} stats=${stats.data} /></div>
  </li>`;
}

/** Whether an element has been on the screen. */
function useSeen(element) {
  const [isSeen, setSeen] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) setSeen(true);
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return isSeen;
}

/** What starts a function: events, and times. */
export function Triggers({ triggers }) {
  if (triggers.length === 0) return html`<p class="triggers faint">when it is invoked</p>`;
  return html`<ul class="triggers" aria-label="Triggers">
    ${triggers.map((trigger) => html`<li key=${trigger.event ?? trigger.cron}>
      <${Icon} name=${trigger.cron ? "clock" : "events"} />
      <span><code>${trigger.event ?? trigger.cron}</code>
        ${trigger.expression && html` <span class="faint">if <code>${trigger.expression}</code></span>`}
        ${trigger.jitter_ms && html` <span class="faint">spread over ${duration(trigger.jitter_ms)}</span>`}</span>
    </li>`)}
  </ul>`;
}

function NoFunctions() {
  return html`<${Empty} title="No functions are registered">
    <p>Decorate one with <code>@client.create_function(…)</code>, and serve its module:</p>
    <${Command} text="tidegate dev my_module" />
  </${Empty}>`;
}
