// Times, durations and numbers as people read them.

const pad = (number, digits = 2) => String(number).padStart(digits, "0");
const DAY_MS = 86_400_000;

/** UTC ms of an RFC 3339 time, or null. */
export function ms(text) {
  return text ? Date.parse(text) : null;
}

/** `2026-11-24 02:31:05.123`, local time. */
export function exactTime(at) {
  const date = new Date(at);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${clockTime(at)}.${pad(date.getMilliseconds(), 3)}`;
}

export function clockTime(at) {
  const date = new Date(at);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** `02:31:05` today, `11-24 02:31` on another day; local time. */
export function shortTime(at, now) {
  const isToday = new Date(at).toDateString() === new Date(now).toDateString();
  return isToday ? clockTime(at) : exactTime(at).slice(5, 16);
}

/** `just now`, `12 s ago`, `in 3 min`; further away than a day the date. */
export function relativeTime(at, now) {
  const away = Math.abs(now - at);
  if (away < 1_500) return "just now";
  if (away >= DAY_MS) return exactTime(at).slice(0, 16);
  const amount = roughDuration(away);
  return at < now ? `${amount} ago` : `in ${amount}`;
}

function roughDuration(duration) {
  if (duration < 60_000) return `${Math.floor(duration / 1000)} s`;
  if (duration < 3_600_000) return `${Math.floor(duration / 60_000)} min`;
  return `${Math.floor(duration / 3_600_000)} h`;
}

/** `13 ms`, `1.42 s`, `2 min 3 s`, `3 h 4 min`, `2 d 3 h`. */
export function duration(length) {
  if (length == null || Number.isNaN(length)) return "–";
  if (length < 1) return "0 ms";
  if (length < 1_000) return `${Math.round(length)} ms`;
  if (length < 10_000) return `${(length / 1000).toFixed(2)} s`;
  if (length < 60_000) return `${(length / 1000).toFixed(1)} s`;
  const seconds = Math.round(length / 1000);
  if (seconds < 3_600) return two(seconds, 60, "min", "s");
  if (seconds < 86_400) return two(Math.round(seconds / 60), 60, "h", "min");
  return two(Math.round(seconds / 3_600), 24, "d", "h");
}

/** How long something goes on already, to the second, so that it counts evenly. */
export function soFar(length) {
  return length < 60_000 ? `${Math.max(0, Math.floor(length / 1000))} s` : duration(length);
}

function two(amount, base, large, small) {
  const rest = amount % base;
  return `${Math.floor(amount / base)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** UTC ms of the time in a ULID. */
export function ulidMs(id) {
  return [...id.slice(0, 10).toUpperCase()].reduce((time, digit) => time * 32 + DIGITS.indexOf(digit), 0);
}
