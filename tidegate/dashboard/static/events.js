// The list of events.
import { ask } from "./api.js";
import { sendCommand } from "./command.js";
import { isFiltered, RangeFilter, TextFilter, useRange } from "./filters.js";
import { Icon } from "./icons.js";
import { Command, Empty, Loading, Refused, Time } from "./parts.js";
import { eventNames, useFunctions } from "./registered.js";
import { route, to } from "./route.js";
import { Announcer, ListFoot, NewOnTop, Table, useRows } from "./rows.js";
import { SendDialog } from "./send.js";
import { html, useState } from "./ui.js";

const PREVIEW_LENGTH = 160;
const idOf = (event) => event.internal_id;

const COLUMNS = [
  {
    name: "main",
    title: "Event",
    cell: (event) => html`<a class="row-link" href=${to("events", event.internal_id)}>${event.name}</a>`,
  },
  { name: "when", title: "Received", cell: (event) => html`<${Time} at=${event.received_at} />` },
  { name: "ident", title: "Id", cell: (event) => event.internal_id },
  { name: "preview", title: "Data", cell: (event) => preview(event) },
];

function preview(event) {
  return event.note ?? JSON.stringify(event.data).slice(0, PREVIEW_LENGTH);
}

export function EventList() {
  const { name = "" } = route.value.query;
  const { from, until } = useRange();
  const [isSending, setSending] = useState(false);
  const functions = useFunctions().data;
  const list = useRows(
    {
      idOf,
      headSize: 20,
      fetchPage: ({ cursor, limit, abort }) =>
        ask("/v1/events", { query: { name, received_after: from, received_before: until, cursor, limit }, signal: abort }),
    },
    [name, from, until],
  );
  const names = eventNames(functions);
  return html`
    <div class="head"><h1>Events</h1>
      <button type="button" class="primary" onClick=${() => setSending(true)}><${Icon} name="send" />Send event</button></div>
    <div class="filters">
      <${TextFilter} name="name" label="Name" placeholder="All names" options=${names} />
      <${RangeFilter} />
    </div>
    ${list.error && html`<${Refused} error=${list.error} />`}
    ${!list.isReady && html`<${Loading} />`}
    ${list.isReady && !list.error && list.rows.length === 0 && html`<${NoEvents} suggestion=${names[0]} />`}
    ${list.rows.length > 0 && html`
      <${NewOnTop} added=${list.added} one="event" />
      <${Table} label="Events" list=${list} columns=${COLUMNS} idOf=${idOf} />
      <${ListFoot} list=${list} one="event" />`}
    <${Announcer} added=${list.added} one="event" />
    ${isSending && html`<${SendDialog} names=${names} onClose=${() => setSending(false)} onSent=${list.again} />`}
  `;
}

function NoEvents({ suggestion = "app/user.signup" }) {
  const { name, range } = route.value.query;
  if (isFiltered("name")) {
    return html`<${Empty} title="No such event in this time">
      <p>None is named exactly <code>${name}</code>. Choose a longer time, or <a href=${to("events", { range })}>show all names</a>.</p>
    </${Empty}>`;
  }
  return html`<${Empty} title="No events in this time">
    <p>Send one from here with “Send event”, or from a shell:</p>
    <${Command} text=${sendCommand(suggestion)} />
  </${Empty}>`;
}
