/* The health radar: five axes from nothing in the middle to all of it at the rim. The same numbers stand beside it as text. */
import type { PostureAxis } from "../lib/types";

const SIZE = 320;
const RADIUS = 118;
const RINGS = [25, 50, 75, 100];

type Point = [x: number, y: number];

function at(i: number, n: number, share: number): Point {
  const angle = (i / n) * 2 * Math.PI - Math.PI / 2;
  return [SIZE / 2 + Math.cos(angle) * RADIUS * share, SIZE / 2 + Math.sin(angle) * RADIUS * share];
}

const path = (points: Point[]): string => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("") + "Z";

export function tone(score: number | null): "good" | "warn" | "bad" | "quiet" {
  return score === null ? "quiet" : score >= 80 ? "good" : score >= 50 ? "warn" : "bad";
}

/** Words of a title on lines of their own, so that they stay beside the figure. */
function Label({ axis, i, n }: { axis: PostureAxis; i: number; n: number }) {
  const [x, y] = at(i, n, 1.14);
  const anchor = Math.abs(x - SIZE / 2) < 8 ? "middle" : x < SIZE / 2 ? "end" : "start";
  const words = axis.title.split(" ");
  const top = y - (words.length - 1) * 8 - (i === 0 ? 12 : 0);
  return (
    <text x={x.toFixed(1)} y={top.toFixed(1)} text-anchor={anchor} class="radar-label">
      {words.map((w, k) => (
        <tspan key={w} x={x.toFixed(1)} dy={k ? 15 : 0}>
          {w}
        </tspan>
      ))}
      <tspan x={x.toFixed(1)} dy={16} class={`radar-score ${tone(axis.score)}`}>
        {axis.score ?? "–"}
      </tspan>
    </text>
  );
}

export function Radar({ axes, small = false }: { axes: PostureAxis[]; small?: boolean }) {
  const n = axes.length;
  const said = axes.map((a) => `${a.title} ${a.score ?? "not known"}`).join(", ");
  return (
    <svg class={small ? "radar radar-small" : "radar"} viewBox={`-60 -6 ${SIZE + 120} ${SIZE + 12}`} role="img" aria-label={`Health of 100: ${said}`}>
      {RINGS.map((r) => (
        <path key={r} class="radar-ring" d={path(axes.map((_, i) => at(i, n, r / 100)))} />
      ))}
      {axes.map((a, i) => {
        const [x, y] = at(i, n, 1);
        return <line key={a.axis} class="radar-ring" x1={SIZE / 2} y1={SIZE / 2} x2={x.toFixed(1)} y2={y.toFixed(1)} />;
      })}
      <path class="radar-shape" d={path(axes.map((a, i) => at(i, n, Math.max(2, a.score ?? 0) / 100)))} />
      {axes.map((a, i) => {
        const [x, y] = at(i, n, Math.max(2, a.score ?? 0) / 100);
        return <circle key={a.axis} class={`radar-point ${tone(a.score)}`} cx={x.toFixed(1)} cy={y.toFixed(1)} r={4} />;
      })}
      {axes.map((a, i) => (
        <Label key={a.axis} axis={a} i={i} n={n} />
      ))}
    </svg>
  );
}
