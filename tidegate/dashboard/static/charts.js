// Charts of a function's runs. Colours come from the style sheet, by class.
import { duration, exactTime, ms } from "./format.js";
import { totals } from "./stats.js";
import { html, useRef, useState } from "./ui.js";

const WIDTH = 600;
const HEIGHT = 120;
const DAY_MS = 86_400_000;
const SERIES = [
  { name: "completed", title: "Completed" },
  { name: "failed", title: "Failed" },
  { name: "cancelled", title: "Cancelled" },
  { name: "running", title: "Running" },
];

const countOf = (bucket) => SERIES.reduce((sum, series) => sum + bucket[series.name], 0);

/** The bars of all buckets, each count a piece of its bar. */
function bars(buckets, width, height) {
  const most = Math.max(...buckets.map(countOf), 1);
  const slot = width / buckets.length;
  return buckets.flatMap((bucket, index) => {
    let top = height;
    return SERIES.filter((series) => bucket[series.name] > 0).map((series) => {
      // What there is can be seen, however little it is.
      const size = Math.max((bucket[series.name] / most) * (height - 2), 2);
      top -= size;
      return html`<rect key=${`${index}${series.name}`} class="series ${series.name}" x=${index * slot + slot * 0.12} width=${slot * 0.76} y=${Math.max(top, 0)} height=${size} />`;
    });
  });
}

/** A few words for those who do not see the chart. */
export function inWords(stats) {
  const sums = totals(stats);
  return SERIES.map((series) => `${sums[series.name]} ${series.name}`).join(", ");
}

export function Spark({ stats }) {
  if (!stats) return html`<svg class="spark" aria-hidden="true"></svg>`;
  return html`<svg class="spark" viewBox="0 0 ${WIDTH} 40" preserveAspectRatio="none" role="img" aria-label=${`Runs of the last 24 hours: ${inWords(stats)}`}>
    <line class="ground" x1="0" x2=${WIDTH} y1="40" y2="40" />
    ${bars(stats.buckets, WIDTH, 40)}
  </svg>`;
}

export function Legend({ stats }) {
  if (!stats) return html`<p class="legend">…</p>`;
  const sums = totals(stats);
  return html`<ul class="legend">
    ${SERIES.map((series) => html`<li key=${series.name} class=${sums[series.name] ? series.name : "none"}><i class="series ${series.name}"></i>${series.title} <strong class="number">${sums[series.name].toLocaleString("en")}</strong></li>`)}
  </ul>`;
}

export function RunsChart({ stats }) {
  const most = Math.max(...stats.buckets.map(countOf));
  const told = (bucket) => SERIES.filter((series) => bucket[series.name] > 0).map((series) => `${bucket[series.name].toLocaleString("en")} ${series.name}`).join(", ") || "no runs";
  return html`<${Chart} title="Runs" stats=${stats} most=${most ? most.toLocaleString("en") : ""} told=${told}>
    ${bars(stats.buckets, WIDTH, HEIGHT)}
  </${Chart}>`;
}

export function DurationChart({ stats }) {
  const most = Math.max(...stats.buckets.map((bucket) => bucket.p95_ms ?? 0));
  const told = (bucket) => (bucket.p50_ms === null ? "no runs that ended" : `half took up to ${duration(bucket.p50_ms)}, 95 of 100 up to ${duration(bucket.p95_ms)}`);
  return html`<${Chart} title="Duration" stats=${stats} most=${most ? duration(most) : ""} told=${told}>
    ${["p95", "p50"].map((name) => {
      const points = pointsOf(stats.buckets, `${name}_ms`, most);
      return html`<path key=${name} class="line ${name}" d=${line(points)} /><path key=${`${name}s`} class="dots ${name}" d=${dots(points)} />`;
    })}
  </${Chart}>`;
}

/** Where the values of a percentile lie, `[x, y]`; null where nothing ended. */
function pointsOf(buckets, name, most) {
  const slot = WIDTH / buckets.length;
  const height = (value) => HEIGHT - 4 - (value / Math.max(most, 1)) * (HEIGHT - 8);
  return buckets.map((bucket, index) => (bucket[name] === null ? null : [((index + 0.5) * slot).toFixed(1), height(bucket[name]).toFixed(1)]));
}

function line(points) {
  return points.map((point, index) => point && `${points[index - 1] ? "L" : "M"}${point.join(" ")}`).filter(Boolean).join("");
}

/** Lines of no length, whose round ends are dots, however the drawing is stretched. */
function dots(points) {
  return points.filter(Boolean).map((point) => `M${point.join(" ")}h0`).join("");
}

/** A frame with axes; a bucket is told about where one points, or with the arrow keys. */
function Chart({ title, stats, most, told, children }) {
  const [chosen, setChosen] = useState(null);
  const plot = useRef(null);
  const { buckets } = stats;
  const slot = WIDTH / buckets.length;
  const bucket = buckets[chosen];

  function near(event) {
    const { left, width } = plot.current.getBoundingClientRect();
    setChosen(Math.min(buckets.length - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * buckets.length))));
  }
  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    setChosen((old) => Math.min(buckets.length - 1, Math.max(0, (old ?? buckets.length) + step)));
  }

  const place = bucket ? (chosen + 0.5) / buckets.length : 0;
  return html`<figure class="chart" aria-label=${title}>
    <figcaption><span>${title}</span><span class="faint number">${most && `up to ${most}`}</span></figcaption>
    <div class="chart-plot" ref=${plot} tabindex="0" role="slider" aria-label="${title}, by time" aria-valuemin="1" aria-valuemax=${buckets.length} aria-valuenow=${(chosen ?? buckets.length - 1) + 1}
      aria-valuetext=${valueText(buckets[chosen ?? buckets.length - 1], told)}
      onPointerMove=${near} onPointerDown=${near} onPointerLeave=${() => setChosen(null)} onKeyDown=${move} onBlur=${() => setChosen(null)}>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
        ${bucket && html`<rect class="chosen" x=${chosen * slot} width=${slot} y="0" height=${HEIGHT} />`}
        ${[0, 0.5, 1].map((share) => html`<line key=${share} class="ground" x1="0" x2=${WIDTH} y1=${share * HEIGHT} y2=${share * HEIGHT} />`)}
        ${children}
      </svg>
      ${bucket && html`<span class="tip" aria-hidden="true" style=${{ left: `${place * 100}%`, transform: `translateX(${-place * 100}%)` }}>
        <strong class="number">${exactTime(ms(bucket.from)).slice(0, 16)} – ${exactTime(ms(bucket.until)).slice(11, 16)}</strong><span>${told(bucket)}</span></span>`}
    </div>
    <div class="chart-times faint number" aria-hidden="true">${edges(stats).map((text, index) => html`<span key=${index}>${text}</span>`)}</div>
  </figure>`;
}

function valueText(bucket, told) {
  return `${exactTime(ms(bucket.from)).slice(0, 16)}: ${told(bucket)}`;
}

function edges(stats) {
  const [from, until] = [ms(stats.from), ms(stats.until)];
  const cut = until - from > DAY_MS + 3_600_000 ? [5, 10] : [11, 16];
  return [from, (from + until) / 2, until].map((at) => exactTime(at).slice(...cut));
}
