// JSON whose numbers keep every digit, also those that JavaScript cannot hold.

/** The value of a JSON text; a number that would lose digits stays as it was written. */
export function parseJson(text) {
  return JSON.parse(text, (_, value, context) => {
    const source = context?.source;
    const exact = typeof value !== "number" || source === undefined || String(value) === source;
    if (exact || !JSON.rawJSON) return value;
    return Number.isSafeInteger(value) || !/^-?\d+$/.test(source) ? value : JSON.rawJSON(source);
  });
}

export function prettyJson(value) {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

/** The parts of a JSON text, each `{ text, kind }`, for colouring it. */
export function tokens(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    if (match.index > end) parts.push({ text: text.slice(end, match.index), kind: "" });
    const [whole, string, colon, number] = match;
    if (string !== undefined) {
      parts.push({ text: string, kind: colon === undefined ? "string" : "key" });
      if (colon !== undefined) parts.push({ text: colon, kind: "" });
    } else {
      parts.push({ text: whole, kind: number === undefined ? "word" : "number" });
    }
    end = match.index + whole.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), kind: "" });
  return parts;
}

/** What is wrong with a text that should be a JSON object; null when nothing is. */
export function objectFault(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Chromium repeats the whole text.
    return `Not valid JSON: ${error.message.replace(/, (\.{3})?".*"(\.{3})? is not valid JSON$/s, "")}`;
  }
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  return isObject ? null : "It has to be an object: { … }";
}
