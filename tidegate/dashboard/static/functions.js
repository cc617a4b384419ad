import { html } from "./ui.js"; export function FunctionList() { return html`<p>…</p>`; }
