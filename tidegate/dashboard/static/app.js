// The page's frame: who looks, where one is, and the view for that.
import { ask, environment, findSession, logOut, session, setEnvironment } from "./api.js";
import { EventList } from "./events.js";
import { EventPage } from "./event.js";
import { FunctionList } from "./functions.js";
import { FunctionPage } from "./function.js";
import { Icon } from "./icons.js";
import { now, trouble } from "./live.js";
import { Login } from "./login.js";
import { Empty, Loading, Messages, Refused, tell } from "./parts.js";
import { go, route, to } from "./route.js";
import { RunList } from "./runs.js";
import { RunPage } from "./run.js";
import { html, render, useEffect, useState } from "./ui.js";

const ID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i;
// Ids become parts of the REST API's paths, so that the form of each is checked here.
const PLACES = [
  { name: "events", title: "Events", list: EventList, page: EventPage, id: ID },
  { name: "runs", title: "Runs", list: RunList, page: RunPage, id: ID },
  { name: "functions", title: "Functions", list: FunctionList, page: FunctionPage, id: /^[A-Za-z0-9][\w.-]*$/ },
];

function App() {
  const [error, setError] = useState(null);
  useEffect(() => {
    findSession().catch(setError);
  }, []);
  if (error) return html`<main class="alone"><${Refused} error=${error} /><button onClick=${() => location.reload()}>Try again</button></main>`;
  if (session.value === undefined) return html`<main class="alone"><${Loading} /></main>`;
  if (session.value === null) return html`<${Login} />`;
  return html`<${Inside} />`;
}

function Inside() {
  const [name = "events", id, ...more] = route.value.parts;
  const place = PLACES.find((one) => one.name === name);
  const isKnown = place && more.length === 0 && (!id || place.id.test(id));
  useEffect(() => {
    document.title = `${id ? `${id} · ` : ""}${place?.title ?? "Not found"} · Tidegate`;
    scrollTo(0, 0);
  }, [name, id]);
  const view = !isKnown
    ? html`<${Empty} title="There is nothing here"><p><a href=${to("events")}>Go to the events</a></p></${Empty}>`
    : id
      ? html`<${place.page} key=${`${environment.value}/${id}`} id=${id} />`
      : html`<${place.list} key=${environment.value} />`;
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href=${to("events")}>Tidegate</a>
      <nav aria-label="Main">
        ${PLACES.map(
          (one) => html`<a key=${one.name} href=${to(one.name)} aria-current=${one.name === name ? "page" : undefined}><${Icon} name=${one.name} />${one.title}</a>`,
        )}
      </nav>
      <${Find} />
      <${Account} />
    </header>
    <${Trouble} />
    <main id="main" tabindex="-1">${view}</main>
    <${Messages} />
  `;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

/** Opens the event or the run of an id. */
function Find() {
  async function find(event) {
    event.preventDefault();
    const form = event.currentTarget;
    const id = form.elements.id.value.trim().toUpperCase();
    if (!id) return;
    if (!ID.test(id)) return tell("An id has 26 digits and letters, as sending an event returned it.", "bad");
    try {
      go(await placeOf(id));
      form.reset();
      form.elements.id.blur();
    } catch (error) {
      tell(error.message, "bad");
    }
  }
  return html`<form class="find" role="search" onSubmit=${find}>
    <${Icon} name="find" />
    <input name="id" type="search" aria-label="Find an event or a run by its id" placeholder="Event or run id" autocomplete="off" spellcheck=${false} maxlength="40" enterkeyhint="go" />
  </form>`;
}

async function placeOf(id) {
  for (const kind of ["events", "runs"]) {
    try {
      await ask(`/v1/${kind}/${id}`);
      return to(kind, id);
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }
  const where = environment.value || session.value.env;
  throw new Error(`There is no event and no run ${id} in the environment ${where}.`);
}

function Account() {
  const { auth, env, branch } = session.value;
  async function leave() {
    try {
      await logOut();
    } catch (error) {
      tell(error.message, "bad");
    }
  }
  function choose(event) {
    event.preventDefault();
    const name = event.currentTarget.elements.env.value.trim();
    setEnvironment(name === env ? "" : name);
    event.currentTarget.elements.env.blur();
  }
  const place = branch
    ? html`<form class="env" onSubmit=${choose}><label>env <input name="env" value=${environment.value || env} onBlur=${(event) => event.currentTarget.form.requestSubmit()} spellcheck=${false} autocomplete="off" maxlength="128" pattern="[!-~]+" title="The environment to look into" /></label></form>`
    : html`<span class="env">env <strong>${env}</strong></span>`;
  return html`<div class="account">
    ${place}
    ${auth === "session" && html`<button type="button" class="quiet" onClick=${leave}>Log out</button>`}
  </div>`;
}

function Trouble() {
  if (!trouble.value) return html`<div role="alert"></div>`;
  const { message, nextAt } = trouble.value;
  now.value; // Counts down.
  const seconds = Math.max(0, Math.ceil((nextAt - Date.now()) / 1000));
  return html`<div role="alert" class="trouble">Nothing new comes in: ${message}. <span aria-hidden="true">Trying again${seconds ? ` in ${seconds} s` : ""}…</span></div>`;
}

render(html`<${App} />`, document.getElementById("app"));
