import { html } from "./ui.js"; export function FunctionPage() { return html`<p>…</p>`; }
