// Small drawings; all of them are decoration beside a text.
import { html } from "./ui.js";

const SHAPES = {
  Completed: html`<circle cx="8" cy="8" r="6.25" /><path d="m5.4 8.2 1.8 1.8 3.4-3.8" />`,
  Failed: html`<circle cx="8" cy="8" r="6.25" /><path d="M8 4.8v3.9M8 11v.1" />`,
  Cancelled: html`<circle cx="8" cy="8" r="6.25" /><path d="m4 12 8-8" />`,
  Running: html`<circle cx="8" cy="8" r="6.25" stroke-dasharray="4.5 3.4" /><path d="M6.8 5.6v4.8L10.4 8z" />`,
  Scheduled: html`<circle cx="8" cy="8" r="6.25" /><path d="M8 4.6V8l2.2 1.6" />`,
  Waiting: html`<path d="M4.5 2h7M4.5 14h7M5 2.2c0 3 6 3.6 6 5.8s-6 2.8-6 5.8M11 2.2c0 3-6 3.6-6 5.8s6 2.8 6 5.8" />`,
  Stopped: html`<circle cx="8" cy="8" r="6.25" /><path d="M5.8 5.8h4.4v4.4H5.8z" />`,
  sleep: html`<path d="M13.2 9.6A5.7 5.7 0 1 1 6.4 2.8a4.6 4.6 0 0 0 6.8 6.8z" />`,
  more: html`<path d="m6 3.5 4.5 4.5L6 12.5" />`,
  copy: html`<rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 3.5v-.5A1.5 1.5 0 0 0 9 1.5H4A1.5 1.5 0 0 0 2.5 3v5A1.5 1.5 0 0 0 4 9.5h.5" />`,
  done: html`<path d="m3 8.5 3.2 3.2L13 4.8" />`,
  send: html`<path d="M14 2 2 6.8l4.6 2.6L9.2 14zM14 2 6.6 9.4" />`,
  again: html`<path d="M13.5 8a5.5 5.5 0 1 1-1.8-4.1M13.5 1.8v3.4h-3.4" />`,
  stop: html`<rect x="3.5" y="3.5" width="9" height="9" rx="1.5" />`,
  play: html`<path d="M4.5 2.8v10.4L13 8z" />`,
  close: html`<path d="m4 4 8 8M12 4l-8 8" />`,
  up: html`<path d="M8 13V3M3.8 7.2 8 3l4.2 4.2" />`,
  events: html`<path d="M8.8 1.5 3 9h4.2L6.8 14.5 13 7H8.6z" />`,
  runs: html`<path d="M2 4h6M5 8h7M9 12h5" />`,
  functions: html`<path d="M5.5 2.5C3.5 2.5 4.5 8 2 8c2.5 0 1.5 5.5 3.5 5.5M10.5 2.5c2 0 1 5.5 3.5 5.5-2.5 0-1.5 5.5-3.5 5.5" />`,
  find: html`<circle cx="7" cy="7" r="4.5" /><path d="m10.5 10.5 3.5 3.5" />`,
  clock: html`<circle cx="8" cy="8" r="6.25" /><path d="M8 4.6V8l2.2 1.6" />`,
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
    ${SHAPES[name]}
  </svg>`;
}
