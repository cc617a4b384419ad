// A line of time to draw on: where moments lie on it, and the ticks of its axis.
import { duration } from "./format.js";

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((count) => count * DAY),
];
// Of a shortened line: how much of it one pause gets, and all of them at the most.
const PAUSE_SHARE = 0.08;
const PAUSES_SHARE = 0.5;
const NEAREST_TICKS = 0.11;

/** The distance between ticks, ms, so that a length has no more of them than asked for. */
export function tickStep(length, most) {
  return STEPS.find((step) => length / step <= most) ?? STEPS.at(-1);
}

/** `0`, `250 ms`, `1.5 s`, `2 min`: how far a tick is from the beginning. */
export function tickLabel(offset) {
  if (offset === 0) return "0";
  if (offset < SECOND) return `${Math.round(offset)} ms`;
  if (offset < MINUTE) return `${Number((offset / SECOND).toFixed(2))} s`;
  return duration(offset);
}

/** A line on which all time is drawn alike.
 *
 * A scale has `at(ms)`, from 0 to 1; `ticks`, each `{ at, label }`; and the `pauses` that it
 * shortens, each `{ start, end, label }`.
 */
export function evenScale(from, until, mostTicks) {
  const length = Math.max(until - from, 1);
  const step = tickStep(length, mostTicks);
  const ticks = [];
  for (let offset = 0; offset <= length; offset += step) ticks.push({ at: offset / length, label: tickLabel(offset) });
  return { at: (moment) => (moment - from) / length, ticks, pauses: [] };
}

/** The pauses of a time: where nothing is busy, for much longer than all else takes. */
export function pausesOf(from, until, busy) {
  const pauses = [];
  let end = from;
  for (const [start, stop] of [...busy, [until, until]].sort((a, b) => a[0] - b[0])) {
    if (start > end) pauses.push([end, start]);
    end = Math.max(end, stop);
  }
  const paused = pauses.reduce((sum, [start, stop]) => sum + stop - start, 0);
  const shortest = Math.max((until - from - paused) / 5, (until - from) / 50, 1);
  return pauses.filter(([start, stop]) => stop - start > shortest);
}

/** A line on which each of the pauses is short, and all else is drawn alike. */
export function shortenedScale(from, until, pauses) {
  const share = Math.min(PAUSE_SHARE, PAUSES_SHARE / pauses.length);
  const paused = pauses.reduce((sum, [start, end]) => sum + end - start, 0);
  const open = Math.max(until - from - paused, 1);
  const pieces = [];
  let edge = from;
  let place = 0;
  function add(end, width, isPause) {
    pieces.push({ from: edge, until: end, start: place, end: place + width, isPause });
    edge = end;
    place += width;
  }
  for (const [start, end] of pauses) {
    add(start, ((start - edge) / open) * (1 - share * pauses.length), false);
    add(end, share, true);
  }
  add(until, 1 - place, false);
  return {
    at(moment) {
      const piece = pieces.find((one) => moment <= one.until) ?? pieces.at(-1);
      return piece.start + ((moment - piece.from) / Math.max(piece.until - piece.from, 1)) * (piece.end - piece.start);
    },
    ticks: apart(pieces.filter((one) => !one.isPause && one.end > one.start).map((one) => ({ at: one.start, label: tickLabel(one.from - from) }))),
    pauses: pieces.filter((one) => one.isPause).map((one) => ({ start: one.start, end: one.end, label: duration(one.until - one.from) })),
  };
}

function apart(ticks) {
  let last = -1;
  return ticks.filter((tick) => {
    if (tick.at - last < NEAREST_TICKS) return false;
    last = tick.at;
    return true;
  });
}
