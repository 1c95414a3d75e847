/** The boxes of a flame graph: which are shown, what stands on each, and where they are drawn. */

import { frame } from '../format';
import type { Flame, FlameBox } from '../types';

/** Boxes narrower than this, in pixels, are not drawn. */
export const LEAST = 0.6;

export function title(box: FlameBox): string {
  if (box.function !== null) return frame({ function: box.function, file: box.file ?? '', line: box.line });
  return box.vendor ? `${box.bucket}, ${box.vendor}` : (box.bucket ?? '?');
}

/** Of libraries only what the application called, or what ran by itself: as the text report has it. */
export function ofApplication(flame: Flame): Flame {
  const boxes: FlameBox[] = [];
  const byName = new Map<string, number>();
  /** For each box of the whole graph the one here that it is part of, and whether the application is below it. */
  const place: { at: number | null; isBelowApplication: boolean; isLibrary: boolean }[] = [];
  const own = ownTimes(flame);
  const add = (box: FlameBox, parent: number | null, wall_ns: number): number => {
    const key = `${parent} ${title(box)} ${box.file}`;
    const known = byName.get(key);
    const kept = known === undefined ? undefined : boxes[known];
    if (known !== undefined && kept) {
      kept.wall_ns += wall_ns;
      return known;
    }
    byName.set(key, boxes.length);
    return boxes.push({ ...box, parent, wall_ns }) - 1;
  };
  for (const [index, box] of flame.boxes.entries()) {
    const below = box.parent === null ? undefined : place[box.parent];
    const at = below?.at ?? null;
    const isLibrary = box.bucket === null && !box.is_of_application;
    const isCalled =
      below?.isBelowApplication && !below.isLibrary && !box.file?.startsWith('<frozen importlib');
    if (!isLibrary || isCalled) {
      const isBelowApplication = box.is_of_application || (below?.isBelowApplication ?? false);
      place.push({ at: add(box, at, box.wall_ns), isBelowApplication, isLibrary });
      continue;
    }
    if (!below?.isBelowApplication && (own[index] ?? 0) > 0) add(box, null, own[index] ?? 0);
    place.push({
      at,
      isBelowApplication: below?.isBelowApplication ?? false,
      isLibrary: below?.isLibrary ?? true,
    });
  }
  return { ...flame, boxes };
}

/** The time of each box without what stands on it. */
function ownTimes(flame: Flame): number[] {
  const own = flame.boxes.map((box) => box.wall_ns);
  for (const box of flame.boxes) {
    if (box.parent !== null) own[box.parent] = (own[box.parent] ?? 0) - box.wall_ns;
  }
  return own;
}

export interface Tree {
  roots: number[];
  above: Map<number, number[]>;
}

/** What stands on each box, the largest first. */
export function children(flame: Flame): Tree {
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

export interface Placed {
  index: number;
  x: number;
  width: number;
  depth: number;
}

/** Where boxes are drawn: the opened one as wide as all, on those that it stands on. */
export function place(flame: Flame, tree: Tree, opened: number | null, width: number): Placed[] {
  const placed: Placed[] = [];
  const below: number[] = [];
  for (let at = opened; at !== null; at = flame.boxes[at]?.parent ?? null) below.unshift(at);
  for (const [depth, index] of below.entries()) placed.push({ index, x: 0, width, depth });
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

/** The time of the outermost boxes that are found. */
export function foundTime(flame: Flame, isFound: (box: FlameBox) => boolean): number {
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
