// The libraries, under the names that the page uses.
import { h, render, Fragment, createContext } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { Fragment, createContext, render };
export { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "./vendor/preact-hooks.js";
export { computed, effect, signal } from "./vendor/preact-signals.js";

// Templates make elements and text, never HTML: whatever is put into one is shown as it is.
export const html = htm.bind(h);
