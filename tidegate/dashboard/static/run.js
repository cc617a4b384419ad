import { html } from "./ui.js"; export function RunPage() { return html`<p>…</p>`; }
