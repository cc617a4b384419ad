// The registered functions, which change with a deployment only.
import { ask } from "./api.js";
import { useLive } from "./live.js";

export function useFunctions() {
  return useLive(async (abort) => (await ask("/v1/functions", { signal: abort })).data, [], 10_000);
}

/** The event names that functions are triggered by, without wildcards. */
export function eventNames(functions = []) {
  const names = functions.flatMap((one) => one.triggers.map((trigger) => trigger.event ?? ""));
  return [...new Set(names.filter((name) => name && !name.includes("*") && !name.startsWith("inngest/")))].sort();
}
