// What is shown follows what happens: asked again and again while somebody looks.
import { ahead } from "./api.js";
import { signal, useEffect, useRef, useState } from "./ui.js";

// With what a request takes, whatever happens appears within a second.
export const EVERY_MS = 700;
const LONGEST_PAUSE_MS = 30_000;

/** Why nothing new comes, `{ message, nextAt }`; null while all is well. */
export const trouble = signal(null);

/** The time by the server's clock, UTC ms; it moves each second while the page is visible. */
export const now = signal(Date.now());

function tick() {
  if (!document.hidden) now.value = Date.now() + ahead.value;
}
setInterval(tick, 1_000);
document.addEventListener("visibilitychange", tick);

/** Call a function again and again while the page is visible, at longer intervals after failures.
 *
 * Gives `{ stop, again }`; `again` calls it at once.
 */
export function repeat(work, everyMs = EVERY_MS) {
  const abort = new AbortController();
  let timer = 0;
  let failures = 0;
  let isWorking = false;
  let isWanted = false;

  async function turn() {
    clearTimeout(timer);
    if (isWorking) {
      isWanted = true;
      return;
    }
    if (document.hidden || abort.signal.aborted) return;
    isWorking = true;
    let pause = everyMs;
    try {
      await work(abort.signal);
      if (failures) trouble.value = null;
      failures = 0;
    } catch (error) {
      if (abort.signal.aborted) return;
      pause = Math.min(everyMs * 2 ** ++failures, LONGEST_PAUSE_MS);
      trouble.value = { message: error.message, nextAt: Date.now() + pause };
    } finally {
      isWorking = false;
    }
    if (isWanted) pause = 0;
    isWanted = false;
    timer = setTimeout(turn, pause);
  }

  document.addEventListener("visibilitychange", turn);
  turn();
  return {
    again: turn,
    stop() {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", turn);
      if (failures) trouble.value = null;
    },
  };
}

/** What `load(abortSignal)` gives, kept up to date: `{ data, error, again }`.
 *
 * A refusal (404 and so on) is an `error` to show; what may pass is tried again.
 */
export function useLive(load, dependencies, everyMs = EVERY_MS) {
  const [state, setState] = useState({ data: undefined, error: null });
  const control = useRef(null);
  useEffect(() => {
    setState({ data: undefined, error: null });
    let last = "";
    async function work(abort) {
      let next;
      try {
        next = { data: await load(abort), error: null };
      } catch (error) {
        if (!(error.status >= 400 && error.status < 500) || error.status === 429) throw error;
        next = { data: undefined, error };
      }
      if (abort.aborted) return;
      const text = JSON.stringify([next.data, next.error?.message]);
      if (text !== last) setState(next);
      last = text;
    }
    control.current = repeat(work, everyMs);
    return () => control.current.stop();
  }, dependencies);
  return { ...state, again: () => control.current?.again() };
}
