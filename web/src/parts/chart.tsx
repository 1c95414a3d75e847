/** The frame of a chart over time: axes, the piece that is pointed at, and a range drawn with the pointer. */

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { clock, moment, ticks } from '../format';
import { adjusted, go } from '../location';
import { useWidth } from './width';

export interface Scale {
  x: (unixNs: number) => number;
  y: (value: number) => number;
  /** The width of a piece. */
  piece: number;
}

interface Props {
  title: string;
  /** What the picture says, for those who don't see it. */
  summary: string;
  from: number;
  to: number;
  step: number;
  largest: number;
  height: number;
  unit: (value: number) => string;
  /** Starts of the pieces that there are. */
  starts: number[];
  /** What a piece says. */
  tell: (index: number) => string;
  children: (scale: Scale) => ComponentChildren;
}

const LEFT = 52;
const BOTTOM = 18;
const TOP = 6;

export function Chart(props: Props) {
  const [figure, width] = useWidth<HTMLElement>();
  const [pointed, setPointed] = useState<number | null>(null);
  const [drawn, setDrawn] = useState<[number, number] | null>(null);
  const { from, to, step, largest, height, starts } = props;
  const [right, base] = [Math.max(width, LEFT + 10), height - BOTTOM];
  const x = (unixNs: number) => LEFT + ((unixNs - from) / Math.max(1, to - from)) * (right - LEFT);
  const y = (value: number) => base - (value / Math.max(largest, Number.MIN_VALUE)) * (base - TOP);
  const at = (event: PointerEvent) => {
    const left = (event.currentTarget as Element).getBoundingClientRect().left;
    return from + ((event.clientX - left - LEFT) / (right - LEFT)) * (to - from);
  };
  const nearest = (unixNs: number) => {
    const index = starts.findIndex((start) => unixNs >= start && unixNs < start + step);
    return index < 0 ? null : index;
  };
  const move = (by: number) =>
    setPointed((now) => Math.min(starts.length - 1, Math.max(0, (now ?? -1) + by)));
  const pressed = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -starts.length, End: starts.length }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    if (starts.length > 0) move(by);
  };
  const zoom = () => {
    if (!drawn) return;
    const [first, last] = [Math.min(...drawn), Math.max(...drawn)];
    setDrawn(null);
    if (x(last) - x(first) < 8) return;
    go(adjusted({ since: null, from: Math.floor(first / 1e9), to: Math.ceil(last / 1e9) }));
  };
  const start = pointed === null ? undefined : starts[pointed];
  return (
    <figure ref={figure} class="chart">
      <figcaption>
        <b>{props.title}</b>
        <output>
          {pointed !== null && start !== undefined ? `${moment(start)}  ${props.tell(pointed)}` : ''}
        </output>
      </figcaption>
      <svg
        role="img"
        aria-label={`${props.title}: ${props.summary}`}
        tabindex={0}
        width={right}
        height={height}
        onKeyDown={pressed}
        onPointerMove={(event) => {
          setPointed(nearest(at(event)));
          if (drawn) setDrawn([drawn[0], at(event)]);
        }}
        onPointerLeave={() => setPointed(null)}
        onPointerDown={(event) => {
          if (event.pointerType === 'mouse') setDrawn([at(event), at(event)]);
        }}
        onPointerUp={zoom}
      >
        {ticks(0, largest, height / 38).map((value) => (
          <g key={value} class="axis">
            <line x1={LEFT} x2={right} y1={y(value)} y2={y(value)} />
            <text x={LEFT - 6} y={y(value)} dy="0.32em" text-anchor="end">
              {props.unit(value)}
            </text>
          </g>
        ))}
        {times(from, to, (right - LEFT) / 90).map((unixNs) => (
          <text key={unixNs} class="axis" x={x(unixNs)} y={height - 4} text-anchor="middle">
            {to - from > 2 * 86_400e9 ? moment(unixNs).slice(5, 10) : clock(unixNs, to - from < 300e9)}
          </text>
        ))}
        {start !== undefined && (
          <rect class="pointed" x={x(start)} width={x(start + step) - x(start)} y={TOP} height={base - TOP} />
        )}
        {width > 0 && props.children({ x, y, piece: x(from + step) - x(from) })}
        {drawn && (
          <rect
            class="drawn"
            x={x(Math.min(...drawn))}
            width={Math.abs(x(drawn[1]) - x(drawn[0]))}
            y={TOP}
            height={base - TOP}
          />
        )}
      </svg>
    </figure>
  );
}

const STEPS_S = [1, 5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 86_400];

/** Round times, about so many. */
function times(from: number, to: number, about: number): number[] {
  const rough = (to - from) / 1e9 / Math.max(1, about);
  const step = (STEPS_S.find((step) => step >= rough) ?? 86_400) * 1e9;
  const zone = new Date(from / 1e6).getTimezoneOffset() * 60e9;
  const first = Math.ceil((from - zone) / step) * step + zone;
  const all = Array.from(
    { length: Math.max(0, Math.floor((to - first) / step) + 1) },
    (_, index) => first + index * step,
  );
  return all.filter((unixNs) => unixNs > from + step / 4 && unixNs < to - step / 4);
}
