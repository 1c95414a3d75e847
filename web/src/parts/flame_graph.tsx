/** Wall time by function: callers above what they call, buckets last. A box is opened to see what is on it. */

import { useMemo, useState } from 'preact/hooks';
import { colour } from '../buckets';
import { duration, share } from '../format';
import type { Flame, FlameBox } from '../types';
import { children, foundTime, LEAST, place, title } from './flame_tree';
import { useWidth } from './width';

const ROW = 18;

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
      ArrowDown: now === null ? tree.roots[0] : tree.above.get(now)?.[0],
      ArrowUp: now === null ? undefined : (flame.boxes[now]?.parent ?? undefined),
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
          height={depth * ROW}
          onKeyDown={move}
          onPointerLeave={() => setPointed(null)}
        >
          {placed.map(({ index, x, width, depth: level }) => {
            const box = flame.boxes[index];
            if (!box) return null;
            const name = title(box);
            const room = Math.floor((width - 6) / 6.6);
            const y = level * ROW;
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

function tell(box: FlameBox, whole: number): string {
  return `${title(box)}: ${duration(box.wall_ns)}, ${share(box.wall_ns, whole)}`;
}

function kind(box: FlameBox): string {
  if (box.bucket !== null) return colour(box.bucket);
  return box.is_of_application ? 'application' : 'library';
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
