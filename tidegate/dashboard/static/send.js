// Sending an event: a name and an editor for its data.
import { ask } from "./api.js";
import { objectFault, prettyJson } from "./json.js";
import { Dialog, tell } from "./parts.js";
import { to } from "./route.js";
import { html, useRef, useState } from "./ui.js";

export function SendDialog({ names = [], event, onClose, onSent }) {
  const [name, setName] = useState(event?.name ?? names[0] ?? "");
  const [data, setData] = useState(prettyJson(event?.data ?? {}));
  const [user, setUser] = useState(event?.user ? prettyJson(event.user) : "");
  const [id, setId] = useState("");
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const form = useRef(null);
  const dataFault = objectFault(data || "{}");
  const userFault = user.trim() ? objectFault(user) : null;

  async function submit(submitted) {
    submitted.preventDefault();
    if (dataFault || userFault) return setFault(dataFault ?? userFault);
    // What was written is sent as it is: numbers keep every digit.
    const fields = [`"name":${JSON.stringify(name)}`, `"data":${data.trim() || "{}"}`];
    if (user.trim()) fields.push(`"user":${user}`);
    if (id.trim()) fields.push(`"id":${JSON.stringify(id.trim())}`);
    if (event?.v) fields.push(`"v":${JSON.stringify(event.v)}`);
    setBusy(true);
    setFault("");
    try {
      const sent = await ask("/v1/events", { method: "POST", body: `{${fields.join(",")}}` });
      tell(`Sent ${name}.`, "good", to("events", sent.data.ids[0]));
      onSent?.(sent.data.ids[0]);
      onClose();
    } catch (error) {
      setFault(error.message);
      setBusy(false);
    }
  }

  function keys(pressed) {
    if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) form.current.requestSubmit();
  }

  return html`<${Dialog} title=${event ? "Send again" : "Send event"} onClose=${onClose}>
    <form ref=${form} class="editor" onSubmit=${submit} onKeyDown=${keys}>
      <label>Name
        <input value=${name} onInput=${(e) => setName(e.currentTarget.value)} list="send-names" required maxlength="256" spellcheck=${false} autocomplete="off" autofocus=${!event} />
        <datalist id="send-names">${names.map((one) => html`<option key=${one} value=${one}></option>`)}</datalist>
      </label>
      <${JsonField} label="Data" value=${data} onInput=${setData} fault=${data.trim() ? dataFault : null} rows="12" />
      <details open=${user !== ""}>
        <summary>User and id</summary>
        <${JsonField} label="User, an object" value=${user} onInput=${setUser} fault=${userFault} rows="3" />
        <label>Id, for deduplication
          <input value=${id} onInput=${(e) => setId(e.currentTarget.value)} spellcheck=${false} autocomplete="off" />
          <span class="hint">A second event with the same id starts nothing for 24 hours.</span>
        </label>
      </details>
      <p class="fault" role="alert">${fault}</p>
      <footer><button type="button" onClick=${onClose}>Close</button><button class="primary" disabled=${isBusy} aria-busy=${isBusy}>Send</button></footer>
    </form>
  </${Dialog}>`;
}

/** A field for JSON; what is wrong with it is told while one types. */
export function JsonField({ label, value, onInput, fault, rows }) {
  return html`<label>${label}
    <textarea rows=${rows} value=${value} onInput=${(event) => onInput(event.currentTarget.value)} spellcheck=${false} autocapitalize="off" aria-invalid=${fault != null}></textarea>
    <span class="fault" aria-live="polite">${fault ?? ""}</span>
  </label>`;
}
