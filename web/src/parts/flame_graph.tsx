/** Wall time by function: callers below what they call, buckets on top. A box is opened to see what is on it. */

import { useMemo, useState } from 'preact/hooks';
import { colour } from '../buckets';
import { duration, frame, share } from '../format';
import type { Flame, FlameBox } from '../types';
import { useWidth } from './width';

const ROW = 18;
/** Boxes narrower than this, in pixels, are not drawn. */
const LEAST = 0.6;

interface Placed {
  index: number;
  x: number;
  width: number;
  depth: number;
}

export function FlameGraph({ flame }: { flame: Flame }) {
  const [area, width] = useWidth<HTMLDivElement>();
  const [opened, setOpened] = useState<number | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const [wanted, setWanted] = useState('');
  const tree = useMemo(() => children(flame), [flame]);
  const placed = useMemo(() => place(flame, tree, opened, width), [flame, tree, opened, width]);
  const depth = Math.max(0, ...placed.map((box) => box.depth)) + 1;
  const text = wanted.trim().toLowerCase();
  const isFound = (box: FlameBox) => text !== '' && title(box).toLowerCase().includes(text);
  const found_ns = useMemo(() => (text ? foundTime(flame, isFound) : 0), [flame, text]);
  const shown = pointed ?? opened;
  const move = (event: KeyboardEvent) => {
    const now = pointed ?? opened;
    const siblings =
      now === null ? tree.roots : (tree.above.get(flame.boxes[now]?.parent ?? -1) ?? tree.roots);
    const at = now === null ? -1 : siblings.indexOf(now);
    const to: Record<string, number | null | undefined> = {
      ArrowUp: now === null ? tree.roots[0] : tree.above.get(now)?.[0],
      ArrowDown: now === null ? undefined : (flame.boxes[now]?.parent ?? undefined),
      ArrowRight: siblings[at + 1],
      ArrowLeft: siblings[at - 1],
    };
    if (event.key === 'Enter') setOpened(pointed);
    else if (event.key === 'Escape') setOpened(null);
    else if (!(event.key in to)) return;
    else if (to[event.key] !== undefined) setPointed(to[event.key] ?? null);
    event.preventDefault();
  };
  return (
    <>
      <div class="told">
        <label>
          find{' '}
          <input data-filter="" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
        </label>
        <output>
          {shown !== null && flame.boxes[shown]
            ? tell(flame.boxes[shown], flame.wall_ns)
            : text
              ? `${duration(found_ns)}, ${share(found_ns, flame.wall_ns)}, are in what is found`
              : 'all'}
        </output>
        {opened !== null && (
          <button type="button" onClick={() => setOpened(null)}>
            all of it (Esc)
          </button>
        )}
      </div>
      <div ref={area}>
        <svg
          role="img"
          aria-label={`Flame graph of ${duration(flame.wall_ns)}: ${summary(flame)}. Arrows move, Enter opens.`}
          tabindex={0}
          class="flame"
          width={width}
          height={(depth + 1) * ROW}
          onKeyDown={move}
          onPointerLeave={() => setPointed(null)}
        >
          {placed.map(({ index, x, width, depth: level }) => {
            const box = flame.boxes[index];
            if (!box) return null;
            const name = title(box);
            const room = Math.floor((width - 6) / 6.6);
            const y = (depth - level) * ROW;
            return (
              <g
                key={index}
                class={isFound(box) ? 'found' : index === pointed ? 'at' : ''}
                onPointerEnter={() => setPointed(index)}
                onClick={() => setOpened(index)}
              >
                <rect class={kind(box)} x={x} y={y} width={Math.max(width - 0.5, LEAST)} height={ROW - 1} />
                {room > 3 && (
                  <text class={box.bucket ? 'on-bucket' : ''} x={x + 3} y={y + 13}>
                    {name.length > room ? `${name.slice(0, room - 1)}…` : name}
                  </text>
                )}
              </g>
            );
          })}
        </svg>
      </div>
    </>
  );
}

interface Tree {
  roots: number[];
  above: Map<number, number[]>;
}

/** What stands on each box, the largest first. */
function children(flame: Flame): Tree {
  const tree: Tree = { roots: [], above: new Map() };
  for (const [index, box] of flame.boxes.entries()) {
    if (box.parent === null) tree.roots.push(index);
    else tree.above.set(box.parent, [...(tree.above.get(box.parent) ?? []), index]);
  }
  const larger = (one: number, other: number) =>
    (flame.boxes[other]?.wall_ns ?? 0) - (flame.boxes[one]?.wall_ns ?? 0);
  tree.roots.sort(larger);
  for (const boxes of tree.above.values()) boxes.sort(larger);
  return tree;
}

/** Where boxes are drawn: the opened one as wide as all, on those that it stands on. */
function place(flame: Flame, tree: Tree, opened: number | null, width: number): Placed[] {
  const placed: Placed[] = [];
  const below: number[] = [];
  for (let at = opened; at !== null && at !== undefined; at = flame.boxes[at]?.parent ?? null)
    below.unshift(at);
  below.forEach((index, depth) => {
    placed.push({ index, x: 0, width, depth });
  });
  const whole = opened === null ? flame.wall_ns : (flame.boxes[opened]?.wall_ns ?? 1);
  const scale = width / Math.max(1, whole);
  const grow = (boxes: number[], x: number, depth: number) => {
    let left = x;
    for (const index of boxes) {
      const boxWidth = (flame.boxes[index]?.wall_ns ?? 0) * scale;
      if (boxWidth >= LEAST) {
        placed.push({ index, x: left, width: boxWidth, depth });
        grow(tree.above.get(index) ?? [], left, depth + 1);
      }
      left += boxWidth;
    }
  };
  if (opened === null) grow(tree.roots, 0, 0);
  else grow(tree.above.get(opened) ?? [], 0, below.length);
  return placed;
}

function title(box: FlameBox): string {
  if (box.function !== null) return frame({ function: box.function, file: box.file ?? '', line: box.line });
  return box.vendor ? `${box.bucket}, ${box.vendor}` : (box.bucket ?? '?');
}

function tell(box: FlameBox, whole: number): string {
  return `${title(box)}: ${duration(box.wall_ns)}, ${share(box.wall_ns, whole)}`;
}

function kind(box: FlameBox): string {
  if (box.bucket !== null) return colour(box.bucket);
  return box.is_of_application ? 'application' : 'library';
}

/** The time of the outermost boxes that are found. */
function foundTime(flame: Flame, isFound: (box: FlameBox) => boolean): number {
  const within = new Set<number>();
  let sum = 0;
  for (const [index, box] of flame.boxes.entries()) {
    if (box.parent !== null && within.has(box.parent)) within.add(index);
    else if (isFound(box)) {
      within.add(index);
      sum += box.wall_ns;
    }
  }
  return sum;
}

function summary(flame: Flame): string {
  const largest = flame.boxes
    .filter((box) => box.is_of_application)
    .sort((one, other) => other.wall_ns - one.wall_ns);
  return (
    largest
      .slice(0, 3)
      .map((box) => tell(box, flame.wall_ns))
      .join('; ') || 'no function is known'
  );
}
