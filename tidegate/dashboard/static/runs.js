import { html } from "./ui.js"; export function RunList() { return html`<p>…</p>`; }
