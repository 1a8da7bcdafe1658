/* The authorities as a picture: who stands above whom. The same as a list stands below it. */
import { href } from "../lib/router";
import { isNever } from "../lib/format";
import type { Tone } from "./parts";

export interface TreeNode {
  name: string;
  title: string;
  note: string; /* one line: root, offline, until when */
  tone: Tone; /* how its revocation list stands */
  state: string; /* the same in words */
  ended: boolean;
  below: TreeNode[];
}

const W = 196;
const H = 66;
const GAP_X = 24;
const GAP_Y = 54;

interface Placed {
  node: TreeNode;
  x: number;
  y: number;
  parent: Placed | null;
}

/** Leaves side by side, each other one above the middle of its own. Returns how wide it is. */
function place(nodes: TreeNode[], depth: number, left: number, parent: Placed | null, out: Placed[]): number {
  let x = left;
  for (const node of nodes) {
    const own: Placed = { node, x: 0, y: depth * (H + GAP_Y), parent };
    out.push(own);
    const wide = Math.max(W, place(node.below, depth + 1, x, own, out));
    own.x = x + (wide - W) / 2;
    x += wide + GAP_X;
  }
  return nodes.length === 0 ? 0 : x - left - GAP_X;
}

const clip = (text: string, n: number): string => (text.length > n ? `${text.slice(0, n - 1)}…` : text);

export function shortEnd(time: string): string {
  return isNever(time) ? "no end" : `until ${time.slice(0, 7)}`;
}

function Card({ at: { node, x, y } }: { at: Placed }) {
  return (
    <a href={href(["authorities", node.name])} aria-label={`${node.name}: ${node.note}, ${node.state}`} class={node.ended ? "tree-card ended" : "tree-card"}>
      <rect x={x} y={y} width={W} height={H} rx={8} />
      <rect class={`tree-edge ${node.tone}`} x={x} y={y + 8} width={4} height={H - 16} rx={2} />
      <text class="tree-name" x={x + 16} y={y + 22}>
        {clip(node.name, 22)}
      </text>
      <text class="tree-note" x={x + 16} y={y + 39}>
        {clip(node.note, 30)}
      </text>
      <text class={`tree-note tree-state ${node.tone}`} x={x + 16} y={y + 55}>
        {clip(node.state, 30)}
      </text>
    </a>
  );
}

export function Hierarchy({ tops }: { tops: TreeNode[] }) {
  const all: Placed[] = [];
  const width = place(tops, 0, 0, null, all);
  const height = Math.max(...all.map((p) => p.y)) + H;
  return (
    <div class="tree-picture" tabIndex={0} role="group" aria-label="The authorities as a picture">
      <svg viewBox={`-2 -2 ${width + 4} ${height + 4}`} width={width + 4} height={height + 4}>
        {all.map(
          (p) =>
            p.parent && (
              <path
                key={`line-${p.node.name}`}
                class="tree-line"
                d={`M${p.parent.x + W / 2} ${p.parent.y + H}C${p.parent.x + W / 2} ${p.y - GAP_Y / 2} ${p.x + W / 2} ${p.parent.y + H + GAP_Y / 2} ${p.x + W / 2} ${p.y}`}
              />
            ),
        )}
        {all.map((p) => (
          <Card key={p.node.name} at={p} />
        ))}
      </svg>
    </div>
  );
}
