// Lists of thousands of rows, newest first: fetched page by page, and drawn where one looks.
import { repeat } from "./live.js";
import { html, signal, useEffect, useLayoutEffect, useRef, useState } from "./ui.js";

const MOST_PAGES_AT_ONCE = 20;
const SPARE_ROWS = 8;
const NEAR_THE_END = 40;

const phone = matchMedia("(max-width: 720px)");
export const isPhone = signal(phone.matches);
phone.addEventListener("change", () => (isPhone.value = phone.matches));

/** The rows with a page's rows in the place of those that the page covers.
 *
 * A page tells all there is from `behind`, or else from the newest, to its last row, or, without
 * `hasMore`, to the end.
 */
export function merged(rows, page, hasMore, idOf, behind = null) {
  const last = page.length ? idOf(page.at(-1)) : behind;
  const known = new Map(rows.map((row) => [idOf(row), row]));
  const fresh = page.map((row) => {
    const before = known.get(idOf(row));
    return before && JSON.stringify(before) === JSON.stringify(row) ? before : row;
  });
  const newer = behind === null ? [] : rows.filter((row) => idOf(row) >= behind);
  const older = hasMore ? rows.filter((row) => last === null || idOf(row) < last) : [];
  return [...newer, ...fresh, ...older];
}

/** A list kept up to date: `{ rows, isReady, error, hasMore, more, again, added, sight }`.
 *
 * `fetchPage({ cursor, limit, abort })` gives the REST API's answer; `added` is how many rows have
 * come on top since the list was there. Where rows are `changing`, those in `sight` are asked for
 * again and again, not only the newest.
 */
export function useRows({ fetchPage, idOf, headSize, changing = false }, dependencies) {
  const empty = { rows: [], isReady: false, error: null, cursor: null, added: 0 };
  const [state, setState] = useState(empty);
  const kept = useRef(empty);
  const control = useRef(null);
  const isFetching = useRef(false);
  const sight = useRef([0, 0]);

  function put(changes) {
    kept.current = { ...kept.current, ...changes };
    setState(kept.current);
  }

  useEffect(() => {
    put(empty);
    let polls = 0;
    async function work(abort) {
      try {
        // Now and then further back: ids may carry the time of a sender's clock.
        const isDeep = polls++ % 30 === 0;
        await catchUp(abort, isDeep ? 100 : headSize);
        if (changing && !abort.aborted) await lookAgain(abort);
      } catch (error) {
        if (!(error.status >= 400 && error.status < 500)) throw error;
        if (!abort.aborted) put({ error, isReady: true });
      }
    }
    async function catchUp(abort, limit) {
      const before = kept.current;
      const newest = before.rows.length ? idOf(before.rows[0]) : "";
      let page = [];
      let cursor = null;
      for (let pages = 0; pages < MOST_PAGES_AT_ONCE; pages++) {
        const { data, metadata } = await fetchPage({ cursor, limit, abort });
        if (abort.aborted) return;
        page = [...page, ...data];
        cursor = metadata.has_more ? metadata.next_cursor : null;
        const reached = newest && data.length > 0 && idOf(data.at(-1)) <= newest;
        if (cursor === null || reached || (!newest && page.length > 0)) break;
      }
      const { rows, cursor: tail } = kept.current;
      const isJoined = cursor === null || (newest && page.length > 0 && idOf(page.at(-1)) <= newest);
      const next = isJoined && rows.length ? merged(rows, page, cursor !== null, idOf) : page;
      const added = before.isReady && newest ? next.findIndex((row) => idOf(row) <= newest) : 0;
      put({
        rows: next,
        isReady: true,
        error: null,
        cursor: isJoined && rows.length && cursor !== null ? tail : cursor,
        added: kept.current.added + Math.max(added, 0),
      });
    }
    async function lookAgain(abort) {
      const { rows } = kept.current;
      const first = Math.max(sight.current[0], headSize);
      const count = Math.min(sight.current[1] - first, rows.length - first, 100);
      if (count <= 0) return;
      const behind = idOf(rows[first - 1]);
      const { data, metadata } = await fetchPage({ cursor: behind, limit: count, abort });
      if (abort.aborted) return;
      const hasMore = metadata.has_more;
      const next = merged(kept.current.rows, data, hasMore, idOf, behind);
      put({ rows: next, cursor: hasMore ? kept.current.cursor : null });
    }
    control.current = repeat(work);
    return () => control.current.stop();
  }, dependencies);

  async function more() {
    const { cursor } = kept.current;
    if (cursor === null || isFetching.current) return;
    isFetching.current = true;
    const mine = control.current;
    try {
      const { data, metadata } = await fetchPage({ cursor, limit: 100 });
      if (mine !== control.current || kept.current.cursor !== cursor) return;
      const ids = new Set(kept.current.rows.map(idOf));
      const rows = [...kept.current.rows, ...data.filter((row) => !ids.has(idOf(row)))];
      put({ rows, cursor: metadata.has_more ? metadata.next_cursor : null });
    } catch {
      // The next scroll, or the next poll's trouble, tells.
    } finally {
      isFetching.current = false;
    }
  }

  return {
    ...state,
    hasMore: state.cursor !== null,
    more,
    again: () => control.current?.again(),
    sight,
  };
}

/** The slice of rows that is on the screen, `[first, end]`, as the window scrolls. */
function useWindow(body, total, rowHeight) {
  const [slice, setSlice] = useState([0, 60]);
  useLayoutEffect(() => {
    let frame = 0;
    function measure() {
      frame = 0;
      if (!body.current) return;
      const top = body.current.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(-top / rowHeight) - SPARE_ROWS);
      const end = Math.ceil((innerHeight - top) / rowHeight) + SPARE_ROWS;
      setSlice((old) => (old[0] === first && old[1] === end ? old : [first, end]));
    }
    const later = () => (frame ||= requestAnimationFrame(measure));
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
    measure();
    return () => {
      removeEventListener("scroll", later);
      removeEventListener("resize", later);
      cancelAnimationFrame(frame);
    };
  }, [total, rowHeight]);
  return [Math.min(slice[0], total), Math.min(slice[1], total)];
}

/** A table of rows, of which only those in sight exist in the document.
 *
 * `columns` are `{ name, title, cell(row) }`; the first one holds the row's link.
 */
export function Table({ label, list, columns, idOf }) {
  const body = useRef(null);
  const rowHeight = isPhone.value ? 68 : 44;
  const total = list.rows.length;
  const [first, end] = useWindow(body, total, rowHeight);
  const seen = useRef(list.added);

  // What is read stays where it is when rows come on top of it.
  useLayoutEffect(() => {
    const added = list.added - seen.current;
    seen.current = list.added;
    const top = body.current.getBoundingClientRect().top;
    if (added > 0 && top < -rowHeight) scrollBy({ top: added * rowHeight, behavior: "instant" });
  }, [list.added]);

  useEffect(() => {
    list.sight.current = [first, end];
    if (list.hasMore && end > total - NEAR_THE_END) list.more();
  }, [first, end, total, list.hasMore]);

  function move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const link = step && event.target.closest("tr")?.[step]?.querySelector("a");
    if (!link) return;
    event.preventDefault();
    link.focus();
  }

  const space = (rows, key) => rows > 0 && html`<tr key=${key} class="space" aria-hidden="true" style=${{ height: `${rows * rowHeight}px` }}></tr>`;
  return html`<table class="rows" role="table" aria-label=${label} aria-rowcount=${list.hasMore ? -1 : total + 1}>
    <thead role="rowgroup"><tr role="row" aria-rowindex="1">
      ${columns.map((column) => html`<th key=${column.name} class=${column.name} scope="col" role="columnheader">${column.title}</th>`)}
    </tr></thead>
    <tbody ref=${body} role="rowgroup" onKeyDown=${move}>
      ${space(first, "above")}
      ${list.rows.slice(first, end).map(
        (row, index) => html`<tr key=${idOf(row)} role="row" aria-rowindex=${first + index + 2}>
          ${columns.map((column) => html`<td key=${column.name} class=${column.name} role="cell">${column.cell(row)}</td>`)}
        </tr>`,
      )}
      ${space(total - end, "below")}
    </tbody>
  </table>`;
}

/** How many rows there are, and how many have come on top of what one reads. */
export function ListFoot({ list, one }) {
  const many = `${list.rows.length.toLocaleString("en")} ${list.rows.length === 1 ? one : `${one}s`}`;
  return html`<p class="foot number">${list.hasMore ? `${many} so far; scroll for more` : many}</p>`;
}

/** A button back to the top, once something new is there that one does not see. */
export function NewOnTop({ added, one }) {
  const [base, setBase] = useState(added);
  const [isAway, setAway] = useState(false);
  useEffect(() => {
    function look() {
      const away = scrollY > 400;
      setAway(away);
      if (!away) setBase(added);
    }
    look();
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, [added]);
  const fresh = added - base;
  if (!isAway || fresh <= 0) return null;
  return html`<button type="button" class="on-top" onClick=${() => scrollTo({ top: 0 })}>↑ ${fresh} new ${fresh === 1 ? one : `${one}s`}</button>`;
}

/** Tells those who do not see it that something came, and no more often than each few seconds. */
export function Announcer({ added, one }) {
  const [text, setText] = useState("");
  const told = useRef(added);
  useEffect(() => {
    const timer = setTimeout(() => {
      const fresh = added - told.current;
      told.current = added;
      if (fresh > 0) setText(`${fresh} new ${fresh === 1 ? one : `${one}s`}`);
    }, 3_000);
    return () => clearTimeout(timer);
  }, [added]);
  return html`<p class="unseen" aria-live="polite">${text}</p>`;
}
