// The pieces that all views are made of.
import { exactTime, ms, relativeTime } from "./format.js";
import { Icon } from "./icons.js";
import { prettyJson, tokens } from "./json.js";
import { now } from "./live.js";
import { html, signal, useEffect, useId, useRef, useState } from "./ui.js";

export function Status({ status }) {
  return html`<span class="status ${status.toLowerCase()}"><${Icon} name=${status} />${status}</span>`;
}

/** A time, told relative to now; the exact one appears on hover. */
export function Time({ at }) {
  const moment = typeof at === "string" ? ms(at) : at;
  if (moment == null) return html`<span class="faint">–</span>`;
  const exact = exactTime(moment);
  const iso = new Date(moment).toISOString();
  return html`<time datetime=${iso} title="${exact} here\n${iso}">${relativeTime(moment, now.value)}</time>`;
}

/** A time to the millisecond. */
export function ExactTime({ at }) {
  const moment = typeof at === "string" ? ms(at) : at;
  if (moment == null) return html`<span class="faint">–</span>`;
  const iso = new Date(moment).toISOString();
  return html`<time class="number" datetime=${iso} title=${`${relativeTime(moment, now.value)}\n${iso}`}>${exactTime(moment)}</time>`;
}

export function CopyButton({ text, label = "Copy" }) {
  const [isDone, setDone] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return tell("The browser does not let this page copy; select the text instead.", "bad");
    }
    setDone(true);
    timer.current = setTimeout(() => setDone(false), 1_500);
  }
  return html`<button type="button" class="quiet copy" onClick=${copy} aria-label=${isDone ? "Copied" : label} title=${isDone ? "Copied" : label}>
    <${Icon} name=${isDone ? "done" : "copy"} />
  </button>`;
}

export function Id({ id, href }) {
  return html`<span class="id">${href ? html`<a href=${href}>${id}</a>` : html`<span>${id}</span>`}<${CopyButton} text=${id} label="Copy the id" /></span>`;
}

/** A command to copy. */
export function Command({ text }) {
  return html`<div class="command"><pre tabindex="0">${text}</pre><${CopyButton} text=${text} label="Copy the command" /></div>`;
}

const SHORT_LINES = 300;
const MOST_COLOURED = 60_000;

/** A JSON value, coloured; a long one is cut until all of it is asked for. */
export function Json({ value, label }) {
  const [isWhole, setWhole] = useState(false);
  const whole = prettyJson(value);
  const lines = whole.split("\n");
  const isCut = !isWhole && lines.length > SHORT_LINES;
  const text = isCut ? lines.slice(0, SHORT_LINES).join("\n") : whole;
  const parts = text.length > MOST_COLOURED ? text : tokens(text).map((part) => (part.kind ? html`<span class="json-${part.kind}">${part.text}</span>` : part.text));
  return html`<div class="json">
    <pre tabindex="0" role="region" aria-label=${label}>${parts}</pre>
    <${CopyButton} text=${whole} label="Copy as JSON" />
    ${isCut && html`<button type="button" class="more" onClick=${() => setWhole(true)}>Show all ${lines.length.toLocaleString("en")} lines</button>`}
  </div>`;
}

/** `{ name, message, stack }`, as people read it. */
export function Failure({ error, label = "Error" }) {
  return html`<div class="failure" role="group" aria-label=${label}>
    <p class="failure-head"><strong>${error.name}</strong>${error.message ? `: ${error.message}` : ""}</p>
    ${error.stack && html`<div class="json"><pre tabindex="0" aria-label="Stack">${error.stack}</pre><${CopyButton} text=${error.stack} label="Copy the stack" /></div>`}
  </div>`;
}

/** What is shown where nothing is. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2>${children}</div>`;
}

export function Loading() {
  return html`<p class="loading" role="status">Loading…</p>`;
}

export function Refused({ error }) {
  return html`<div class="notice bad" role="alert">${error.message}</div>`;
}

export function Section({ title, children, actions }) {
  const id = useId();
  return html`<section class="section" aria-labelledby=${id}>
    <div class="section-head"><h2 id=${id}>${title}</h2>${actions && html`<div class="actions">${actions}</div>`}</div>
    ${children}
  </section>`;
}

/** `[label, content]` pairs; those without content are left out. */
export function Facts({ facts }) {
  return html`<dl class="facts">
    ${facts.filter(([, content]) => content != null && content !== false).map(([label, content]) => html`<div key=${label}><dt>${label}</dt><dd>${content}</dd></div>`)}
  </dl>`;
}

/** A dialog over the page; Escape closes it. A click beside it does not: much may be written in it. */
export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    element.current.showModal();
    return () => opener?.isConnected && opener.focus();
  }, []);
  return html`<dialog ref=${element} aria-labelledby=${id} onClose=${onClose}>
    <div class="dialog">
      <header><h2 id=${id}>${title}</h2><button type="button" class="quiet" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button></header>
      ${children}
    </div>
  </dialog>`;
}

/** A button that does something which takes a while; what goes wrong is told. */
export function ActionButton({ icon, onAct, kind = "", children, disabled, label }) {
  const [isBusy, setBusy] = useState(false);
  const isThere = useRef(true);
  useEffect(() => () => (isThere.current = false), []);
  async function act() {
    setBusy(true);
    try {
      await onAct();
    } catch (error) {
      tell(error.message, "bad");
    } finally {
      if (isThere.current) setBusy(false);
    }
  }
  return html`<button type="button" class=${kind} disabled=${disabled || isBusy} aria-busy=${isBusy} aria-label=${label} onClick=${act}>${icon && html`<${Icon} name=${icon} />`}${children}</button>`;
}

/** What was just done, or could not be: `{ id, text, kind, href }`. */
const messages = signal([]);
let lastMessage = 0;

export function tell(text, kind = "good", href = "") {
  const id = ++lastMessage;
  messages.value = [...messages.value.slice(-2), { id, text, kind, href }];
  setTimeout(() => forget(id), kind === "bad" ? 12_000 : 6_000);
}

function forget(id) {
  messages.value = messages.value.filter((message) => message.id !== id);
}

export function Messages() {
  return html`<div class="messages" aria-live="polite" role="status">
    ${messages.value.map(
      (message) => html`<div class="message ${message.kind}" key=${message.id}>
        <span>${message.text}${message.href && html` <a href=${message.href}>Show it</a>`}</span>
        <button type="button" class="quiet" aria-label="Dismiss" onClick=${() => forget(message.id)}><${Icon} name="close" /></button>
      </div>`,
    )}
  </div>`;
}
