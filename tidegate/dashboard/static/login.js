// The door of a deployed stage.
import { hasEnded, logIn } from "./api.js";
import { html, useEffect, useRef, useState } from "./ui.js";

export function Login() {
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const key = useRef(null);
  useEffect(() => {
    document.title = "Log in · Tidegate";
    key.current.focus();
  }, []);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setFault("");
    try {
      await logIn(key.current.value);
    } catch (error) {
      setFault(error.status === 401 ? "This is not a signing key that is valid here." : error.message);
      setBusy(false);
      key.current.select();
    }
  }
  return html`<main class="alone">
    <form class="login" onSubmit=${submit}>
      <h1>Tidegate</h1>
      ${hasEnded.value && html`<p class="notice" role="alert">Your session has ended. Log in again to go on.</p>`}
      <label for="key">Signing key</label>
      <input id="key" ref=${key} type="password" required autocomplete="current-password" spellcheck=${false} aria-describedby="key-hint" aria-invalid=${fault !== ""} />
      <p id="key-hint" class="hint">Make one with <code>tidegate keys create --kind signing</code></p>
      <p class="fault" role="alert">${fault}</p>
      <button class="primary" disabled=${isBusy} aria-busy=${isBusy}>Log in</button>
    </form>
  </main>`;
}
