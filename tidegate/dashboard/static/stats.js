// How a function's runs went over time, as the REST API counts it.
import { ask } from "./api.js";
import { ms } from "./format.js";
import { now, useLive } from "./live.js";
import { useEffect, useRef } from "./ui.js";

const MINUTE = 60_000;
const HOUR = 3_600_000;
const LENGTHS = [1, 2, 5, 10, 15, 30].map((count) => count * MINUTE).concat([1, 2, 3, 6, 12, 24, 48, 168, 720, 2160].map((count) => count * HOUR));
const MOST_BUCKETS = 32;
const IDLE_MS = 60_000;
const SOONEST_MS = 500;
// Counting takes no more of the server than one part in so many.
const SHARE = 8;

/** The query for buckets whose edges stay where they are while time goes on. */
function buckets({ from, until }) {
  const first = ms(from) ?? now.peek() - 24 * HOUR;
  const last = Math.max(ms(until) ?? now.peek(), first + 1);
  const length = LENGTHS.find((one) => (last - first) / one <= MOST_BUCKETS) ?? LENGTHS.at(-1);
  const start = Math.floor(first / length) * length;
  const end = Math.ceil(last / length) * length;
  return { from: new Date(start).toISOString(), until: new Date(end).toISOString(), buckets: (end - start) / length };
}

/** A function's statistics over a range of time; asked for again when `pulse` changes.
 *
 * Counting may read thousands of runs, so it waits for something to happen, and the longer the more
 * it takes.
 */
export function useStats(functionId, range, pulse, isWanted = true) {
  const pause = useRef(SOONEST_MS);
  async function load(abort) {
    if (!isWanted) return undefined;
    const began = Date.now();
    const { data } = await ask(`/v1/functions/${encodeURIComponent(functionId)}/stats`, { query: buckets(range), signal: abort });
    pause.current = Math.max(SOONEST_MS, (Date.now() - began) * SHARE);
    return data;
  }
  const found = useLive(load, [functionId, range.from, range.until, isWanted], IDLE_MS);
  const askedAt = useRef(0);
  const isFirst = useRef(true);
  useEffect(() => {
    if (isFirst.current) {
      isFirst.current = false;
      return undefined;
    }
    const timer = setTimeout(() => {
      askedAt.current = Date.now();
      found.again();
    }, Math.max(0, askedAt.current + pause.current - Date.now()));
    return () => clearTimeout(timer);
  }, [pulse]);
  return found;
}

/** Counts over all buckets. */
export function totals(stats) {
  const sums = { completed: 0, failed: 0, cancelled: 0, running: 0 };
  for (const bucket of stats?.buckets ?? []) for (const name of Object.keys(sums)) sums[name] += bucket[name];
  return sums;
}

/** What changes when something happens to the newest runs, by function: `pulses[functionId]`. */
export function usePulses() {
  const found = useLive(async (abort) => {
    const runs = (await ask("/v1/runs", { query: { limit: 30 }, signal: abort })).data;
    const pulses = {};
    for (const run of runs) pulses[run.function_id] = `${pulses[run.function_id] ?? ""}${run.run_id}${run.status}`;
    return pulses;
  }, []);
  return found.data ?? {};
}
