// Invoking a function: starting a run of it alone, whatever triggers it.
import { ask } from "./api.js";
import { objectFault } from "./json.js";
import { Dialog, tell } from "./parts.js";
import { to } from "./route.js";
import { JsonField } from "./send.js";
import { html, useRef, useState } from "./ui.js";

export function InvokeDialog({ one, onClose, onStarted }) {
  const [data, setData] = useState("{}");
  const [user, setUser] = useState("");
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const form = useRef(null);
  const dataFault = data.trim() ? objectFault(data) : null;
  const userFault = user.trim() ? objectFault(user) : null;

  async function submit(event) {
    event.preventDefault();
    if (dataFault || userFault) return setFault(dataFault ?? userFault);
    // What was written is sent as it is: numbers keep every digit.
    const fields = [`"data":${data.trim() || "{}"}`];
    if (user.trim()) fields.push(`"user":${user}`);
    setBusy(true);
    setFault("");
    try {
      const path = `/v1/functions/${encodeURIComponent(one.id)}/invoke`;
      const started = await ask(path, { method: "POST", body: `{${fields.join(",")}}` });
      tell(`Invoked ${one.id}.`, "good", to("runs", started.data.run_id));
      onStarted();
      onClose();
    } catch (error) {
      setFault(error.message);
      setBusy(false);
    }
  }

  function keys(pressed) {
    if (pressed.key === "Enter" && (pressed.ctrlKey || pressed.metaKey)) form.current.requestSubmit();
  }

  return html`<${Dialog} title="Invoke ${one.id}" onClose=${onClose}>
    <form ref=${form} class="editor" onSubmit=${submit} onKeyDown=${keys}>
      <${JsonField} label="Data" value=${data} onInput=${setData} fault=${dataFault} rows="10" />
      <details>
        <summary>User</summary>
        <${JsonField} label="User, an object" value=${user} onInput=${setUser} fault=${userFault} rows="3" />
      </details>
      <p class="fault" role="alert">${fault}</p>
      <footer><button type="button" onClick=${onClose}>Close</button><button class="primary" disabled=${isBusy} aria-busy=${isBusy}>Invoke</button></footer>
    </form>
  </${Dialog}>`;
}
