/** What of a request gets a lane of its own, and what is left of boxes that are too narrow to be seen. */

import type { Step, Whole } from '../types';

export interface Context {
  number: number;
  thread: string;
  steps: Step[];
  ran_ns: number;
  /** Indexes of the calls that it made. */
  calls: number[];
}

/** Contexts that ran for this share of the request have a lane, and those that made calls. */
const LEAST_SHARE = 0.01;
const MOST_LANES = 40;

/** Contexts in order of their first step or call, and what the others did together. */
export function lanes({ request, steps, calls }: Whole): {
  contexts: Context[];
  rest: { count: number; steps: Step[]; ran_ns: number };
} {
  const contexts = new Map<number, Context>();
  const contextOf = (number: number) => {
    const known = contexts.get(number);
    if (known) return known;
    const made: Context = { number, thread: 'no step', steps: [], ran_ns: 0, calls: [] };
    contexts.set(number, made);
    return made;
  };
  for (const step of steps) {
    const context = contextOf(step.context);
    context.steps.push(step);
    context.ran_ns += step.end_ns - step.start_ns;
  }
  for (const [index, call] of calls.entries()) contextOf(call.context).calls.push(index);
  for (const context of contexts.values()) context.thread = threads(context.steps, request.pid);
  const all = [...contexts.values()].sort((one, other) => begin(one) - begin(other));
  const isShown = (context: Context) =>
    context.calls.length > 0 || context.ran_ns >= LEAST_SHARE * request.wall_ns;
  const shown = all.filter(isShown).slice(0, MOST_LANES);
  const others = all.filter((context) => !shown.includes(context));
  return {
    contexts: shown,
    rest: {
      count: others.length,
      steps: others.flatMap((context) => context.steps).sort((one, other) => one.start_ns - other.start_ns),
      ran_ns: others.reduce((sum, context) => sum + context.ran_ns, 0),
    },
  };

  function begin(context: Context): number {
    const first = context.calls.map((index) => calls[index]?.start_ns ?? 0);
    return Math.min(context.steps[0]?.start_ns ?? Number.POSITIVE_INFINITY, ...first);
  }
}

function threads(steps: Step[], pid: number): string {
  const tids = new Set(steps.map((step) => step.tid));
  const [tid] = tids;
  if (tid === undefined) return 'no step';
  if (tids.size > 1) return `${tids.size} threads`;
  return tid === pid ? 'main thread' : `thread ${tid}`;
}

export interface Box {
  start: number;
  end: number;
  kind: string;
  tell: string;
  /** Written into it, where there is room. */
  label?: string;
}

export interface Drawn extends Box {
  x: number;
  width: number;
}

/** The boxes that are seen in a stretch, in pixels. Of narrow ones on the same pixel the longest is left. */
export function boxes([from, to]: [number, number], width: number): (of: Box[]) => Drawn[] {
  const x = (ns: number) => ((ns - from) / (to - from)) * width;
  return (of) => {
    const drawn: Drawn[] = [];
    for (const box of of) {
      if (box.end < from || box.start > to) continue;
      const [left, right] = [Math.max(0, x(box.start)), Math.min(width, x(box.end))];
      const last = drawn.at(-1);
      if (last && right - left < 0.5 && left < last.x + 0.75 && last.kind !== 'call') {
        if (last.width < 1 && box.end - box.start > last.end - last.start) {
          drawn[drawn.length - 1] = { ...box, x: last.x, width: 0.75 };
        }
        continue;
      }
      drawn.push({ ...box, x: left, width: Math.max(right - left, 0.75) });
    }
    return drawn;
  };
}
