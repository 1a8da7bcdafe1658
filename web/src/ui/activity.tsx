/* Issued, revoked and refused over time. A chart for the eye, the sums as words beside it. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { count, tick } from "../lib/format";
import type { Summary } from "../lib/types";

type Of = Summary["activity"];
const SERIES = [
  { key: "issued", label: "issued", token: "--chart-1" },
  { key: "revoked", label: "revoked", token: "--chart-2" },
  { key: "refused", label: "refused", token: "--chart-3" },
] as const;
const HEIGHT = 190;

const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);

/** Tokens' colours as a canvas takes them: the browser works them out for elements, all at once. */
function resolver(host: HTMLElement, tokens: string[]): (token: string) => string {
  const probes = tokens.map((token) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${token})`;
    return probe;
  });
  host.append(...probes);
  const found = new Map(tokens.map((token, i) => [token, getComputedStyle(probes[i]!).color]));
  probes.forEach((p) => p.remove());
  return (token) => found.get(token) ?? "";
}

function draw(host: HTMLElement, of: Of): uPlot {
  const width = host.clientWidth;
  const color = resolver(host, ["--ink-3", "--line-2", ...SERIES.map((s) => s.token)]);
  const x = of.issued.map((_, i) => of.from + i * of.step);
  const axis = { stroke: color("--ink-3"), grid: { stroke: color("--line-2"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  return new uPlot(
    {
      width,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: (_, min, max) => [min - of.step / 2, max + of.step / 2] },
        y: { range: (_, __, max) => [0, Math.max(4, max * 1.1)] },
      },
      axes: [
        { ...axis, grid: { show: false }, values: (_, ticks) => ticks.map((t) => tick(t, of.step)), splits: () => splits(x, of.step, host.clientWidth || width), size: 26 },
        { ...axis, size: 40, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000] },
      ],
      series: [
        {},
        ...SERIES.map((s, i) => ({
          label: s.label,
          stroke: color(s.token),
          fill: color(s.token),
          width: 0,
          points: { show: false },
          paths: groupedBars(i, of.step),
        })),
      ],
    },
    [x, ...SERIES.map((s) => of[s.key])] as uPlot.AlignedData,
    host,
  );
}

/** As many labels as fit, at hours and days that people count in. */
function splits(x: number[], step: number, width: number): number[] {
  const room = Math.max(2, Math.floor(width / 76));
  const spans = step < 86400 ? [3600, 7200, 10800, 21600, 43200, 86400, 172800] : [1, 2, 3, 5, 7, 10, 14].map((n) => n * step);
  const span = spans.find((s) => s >= step && (x.length * step) / s <= room) ?? spans.at(-1)!;
  return x.filter((t) => t % span === 0);
}

/** Three narrow bars in each step, drawn straight into a path. */
function groupedBars(place: number, step: number): uPlot.Series.PathBuilder {
  return (u, seriesIdx, from, to) => {
    const path = new Path2D();
    const x = u.data[0]!;
    const y = u.data[seriesIdx]!;
    const slot = Math.abs(u.valToPos(step, "x", true) - u.valToPos(0, "x", true));
    const bar = Math.max(1, Math.min(14 * devicePixelRatio, slot * 0.26));
    const base = u.valToPos(0, "y", true);
    for (let i = from; i <= to; i++) {
      const value = y[i];
      if (!value) continue;
      const top = u.valToPos(value, "y", true);
      const left = u.valToPos(x[i]!, "x", true) + (place - 1.5) * bar;
      path.rect(Math.round(left), Math.round(top), Math.max(1, Math.round(bar) - 1), Math.max(1, Math.round(base - top)));
    }
    return { stroke: path, fill: path };
  };
}

export function Activity({ of }: { of: Of }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const at = host.current;
    if (!at) return;
    let chart = draw(at, of);
    const again = () => {
      chart.destroy();
      chart = draw(at, of);
    };
    const resize = new ResizeObserver(() => at.clientWidth > 0 && at.clientWidth !== chart.width && chart.setSize({ width: at.clientWidth, height: HEIGHT }));
    resize.observe(at);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", again);
    addEventListener("themechange", again);
    return () => {
      resize.disconnect();
      dark.removeEventListener("change", again);
      removeEventListener("themechange", again);
      chart.destroy();
    };
  }, [JSON.stringify(of)]);
  return (
    <>
      <ul class="legend">
        {SERIES.map((s, i) => (
          <li key={s.key}>
            <span class={`swatch swatch-${i + 1}`} aria-hidden="true" />
            <strong>{count(sum(of[s.key]))}</strong> {s.label}
          </li>
        ))}
        {!of.whole && <li class="faint">Only the latest 10 000 events are counted</li>}
      </ul>
      <div class="chart" ref={host} aria-hidden="true" />
    </>
  );
}
