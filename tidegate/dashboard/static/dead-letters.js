// Dead letters of a function: which, why, and what can be done about them.
import { ask } from "./api.js";
import { count } from "./format.js";
import { ActionButton, Dialog, Empty, Loading, Refused, Section, Status, tell, Time } from "./parts.js";
import { route, to } from "./route.js";
import { useLive } from "./live.js";
import { html, useEffect, useState } from "./ui.js";

/** What wakes runs has dead letters like a function. */
export const MATCHER = "matcher";

// Each look asks SQS once for each function.
const EVERY_MS = 15_000;
const MOST_SHOWN = 100;

/** How many dead letters each function has, by its id; undefined until it is known. */
export function useDeadLetterCounts() {
  return useLive(async (abort) => {
    const { data } = await ask("/v1/dead_letter_queues", { signal: abort });
    return Object.fromEntries(data.map((one) => [one.function_id, one.messages]));
  }, [], EVERY_MS);
}

/** How many there are, as a link to them; nothing where there are none. */
export function DeadLetterMark({ id, number }) {
  if (!number) return null;
  return html`<a class="dead-mark" href=${to("functions", id, { show: "dead-letters" })}>${count(number, "dead letter")}</a>`;
}

/** Letters are looked at when somebody asks: who looks has them in hand, and others do not see them. */
function useLetters(functionId) {
  const [state, setState] = useState({ data: undefined, error: null });
  async function look() {
    try {
      const path = `/v1/functions/${encodeURIComponent(functionId)}/dead_letters`;
      const { data } = await ask(path, { query: { limit: MOST_SHOWN } });
      setState({ data, error: null });
    } catch (error) {
      setState({ data: undefined, error });
    }
  }
  useEffect(() => {
    look();
  }, [functionId]);
  return { ...state, look };
}

/** A function's dead letters; `ended` changes when a job about them has ended. */
export function DeadLetters({ functionId, ended, onStarted }) {
  const letters = useLetters(functionId);
  const [chosen, setChosen] = useState([]);
  const [dialog, setDialog] = useState(null);
  useEffect(() => {
    if (ended) letters.look();
  }, [ended]);
  const shown = letters.data?.dead_letters ?? [];
  const ids = chosen.filter((id) => shown.some((letter) => letter.id === id));
  const isAsked = functionId === MATCHER || route.value.query.show === "dead-letters";
  if (!letters.error && !letters.data?.messages && !isAsked) return null;
  const actions = html`<${ActionButton} icon="again" onAct=${letters.look}>Look again</${ActionButton}>
    ${shown.length > 0 && html`<button type="button" onClick=${() => setDialog({ act: "delete", ids })}>${ids.length ? "Delete selected" : "Delete all"}</button>
    <button type="button" class="primary" onClick=${() => setDialog({ act: "redrive", ids })}>${ids.length ? "Redrive selected" : "Redrive all"}</button>`}`;
  const started = () => {
    setChosen([]);
    onStarted();
  };
  return html`<${Section} title="Dead letters" actions=${actions}>
    ${letters.error && html`<${Refused} error=${letters.error} />`}
    ${!letters.error && !letters.data && html`<${Loading} />`}
    ${letters.data && shown.length === 0 && html`<${None} messages=${letters.data.messages} />`}
    ${shown.length > 0 && html`<p class="hint">Messages that were given up on. Mend the cause first, then redrive them: nothing starts twice by that.</p>
    <ul class="cards tight" aria-label="Dead letters">
      ${shown.map((letter) => html`<${Letter} key=${letter.id} letter=${letter} isChosen=${ids.includes(letter.id)} onChoose=${(is) => setChosen(is ? [...ids, letter.id] : ids.filter((id) => id !== letter.id))} />`)}
    </ul>
    ${letters.data.messages > shown.length && html`<p class="foot">${(letters.data.messages - shown.length).toLocaleString("en")} more: of other environments, in somebody’s hand, or beyond the first ${MOST_SHOWN}</p>`}`}
    ${dialog?.act === "redrive" && html`<${RedriveDialog} functionId=${functionId} ids=${dialog.ids} onClose=${() => setDialog(null)} onStarted=${started} />`}
    ${dialog?.act === "delete" && html`<${DeleteDialog} functionId=${functionId} ids=${dialog.ids} onClose=${() => setDialog(null)} onStarted=${started} />`}
  </${Section}>`;
}

function None({ messages }) {
  if (messages) return html`<${Empty} title="None to be seen now"><p>There are about ${messages.toLocaleString("en")}, of other environments or in somebody’s hand. Look again in a moment.</p></${Empty}>`;
  return html`<${Empty} title="No dead letters"><p>No message has been given up on.</p></${Empty}>`;
}

function Letter({ letter, isChosen, onChoose }) {
  const what = letter.event_name ?? "A damaged message";
  return html`<li class="card letter">
    <label class="check"><input type="checkbox" checked=${isChosen} onChange=${(event) => onChoose(event.currentTarget.checked)} />
      ${letter.event_id ? html`<a href=${to("events", letter.event_id)}>${what}</a>` : html`<span>${what}</span>`}</label>
    ${letter.run_id && html`<a class="ident" href=${to("runs", letter.run_id)}>${letter.run_id}</a><${Status} status=${letter.run_status} />`}
    <span class="card-when faint">sent <${Time} at=${letter.sent_at} /></span>
    <p class="letter-reason">${letter.reason}</p>
    ${letter.body !== undefined && html`<pre class="letter-body" tabindex="0" aria-label="The beginning of its text">${letter.body}</pre>`}
  </li>`;
}

/** A form in a dialog that starts a job about dead letters, some or all. */
function LetterDialog({ title, hint, submitLabel, kind, path, body, begun, children, onClose, onStarted }) {
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setFault("");
    try {
      await ask(path, { method: "POST", body });
      tell(begun);
      onStarted();
      onClose();
    } catch (error) {
      setFault(error.message);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form class="editor" onSubmit=${submit}>
      <p>${hint}</p>
      ${children}
      <p class="fault" role="alert">${fault}</p>
      <footer><button type="button" onClick=${onClose}>Close</button><button class=${kind} disabled=${isBusy} aria-busy=${isBusy}>${submitLabel}</button></footer>
    </form>
  </${Dialog}>`;
}

const which = (ids) => (ids.length ? count(ids.length, "dead letter") : "all dead letters of this environment");
const bodyOf = (functionId, ids) => ({ function_id: functionId, ...(ids.length && { message_ids: ids }) });

function RedriveDialog({ functionId, ids, onClose, onStarted }) {
  const [rate, setRate] = useState("");
  const body = { ...bodyOf(functionId, ids), ...(rate && { per_second: Number(rate) }) };
  return html`<${LetterDialog} title="Redrive" kind="primary" submitLabel="Redrive" path="/v1/redrives" body=${body} begun="The redrive has begun."
    hint="Puts ${which(ids)} back into the queue. A message starts its run, continues it, or finds that it has ended." onClose=${onClose} onStarted=${onStarted}>
    <label>At most so many a second
      <input type="number" min="1" max="1000" inputmode="numeric" value=${rate} onInput=${(event) => setRate(event.currentTarget.value)} />
      <span class="hint">Empty: as fast as it goes.</span>
    </label>
  </${LetterDialog}>`;
}

function DeleteDialog({ functionId, ids, onClose, onStarted }) {
  return html`<${LetterDialog} title="Delete dead letters" kind="danger" submitLabel="Delete for good" path="/v1/dead_letter_deletions" body=${bodyOf(functionId, ids)} begun="The deletion has begun."
    hint="Deletes ${which(ids)}. Runs stay as they are: one that waits for such a message does not go on by itself." onClose=${onClose} onStarted=${onStarted} />`;
}
