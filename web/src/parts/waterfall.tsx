/** A request over time: its buckets, who held it up, its contexts with their steps, and their calls with their phases. */

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { colour, largest } from '../buckets';
import { duration, frame, ticks } from '../format';
import { adjusted, go, usePlace } from '../location';
import type { Whole } from '../types';
import { target } from './calls';
import { type Box, boxes, type Drawn, lanes } from './lanes';
import { useWidth } from './width';

/** The shortest stretch that is looked at. */
const LEAST_NS = 1_000;

export function Waterfall({ whole }: { whole: Whole }) {
  const { request } = whole;
  const [area, width] = useWidth<HTMLDivElement>();
  const [told, setTold] = useState('');
  const [drawn, setDrawn] = useState<[number, number] | null>(null);
  const all: [number, number] = [0, extent(whole)];
  const [from, to] = zoomOf(usePlace().query.get('t'), all);
  const zoom = (range: [number, number] | null) =>
    go(adjusted({ t: range && `${Math.round(range[0] / 1e3)}-${Math.round(range[1] / 1e3)}` }), true);
  const scale = (ns: number) => ((ns - from) / (to - from)) * width;
  const at = (event: PointerEvent) => {
    const { left } = (area.current as Element).getBoundingClientRect();
    return Math.min(to, Math.max(from, from + ((event.clientX - left) / width) * (to - from)));
  };
  const pressed = (event: KeyboardEvent) => {
    const [length, middle] = [to - from, (from + to) / 2];
    const next: Record<string, [number, number] | null> = {
      '+': [middle - length / 4, middle + length / 4],
      '-': [middle - length, middle + length],
      '0': null,
      ArrowLeft: [from - length / 4, to - length / 4],
      ArrowRight: [from + length / 4, to + length / 4],
    };
    const range = next[event.key === '=' ? '+' : event.key];
    if (range === undefined) return;
    event.preventDefault();
    zoom(range && within(range, all));
  };
  const tell = (event: PointerEvent) => {
    const text = (event.target as Element).getAttribute?.('data-tell');
    setTold(text ?? '');
    if (drawn) setDrawn([drawn[0], at(event)]);
  };
  const release = () => {
    if (drawn && Math.abs(scale(drawn[1]) - scale(drawn[0])) > 6)
      zoom([Math.min(...drawn), Math.max(...drawn)]);
    setDrawn(null);
  };
  const shown = boxes([from, to], width);
  const { contexts, rest } = lanes(whole);
  const call = (index: number) => {
    const [made, placed] = [request.calls[index], whole.calls[index]];
    if (!made || !placed) return null;
    const box = {
      start: placed.start_ns,
      end: placed.start_ns + made.wall_ns,
      kind: 'call',
      tell: target(made),
    };
    const phases = placed.phases.map((phase) => piece(phase.start_ns, phase.end_ns, phase.bucket));
    return (
      <Lane
        key={made.id}
        kind="call-lane"
        label={
          <a href={`#call-${index + 1}`} onClick={() => openDetails(index + 1)}>
            {index + 1} {made.host ?? '?'}
            {made.attempt > 1 ? ` attempt ${made.attempt}` : ''}
          </a>
        }
        figure={duration(made.wall_ns)}
        height={14}
        boxes={[...shown([box]), ...shown(phases)]}
        say={`call ${index + 1} to ${target(made)}, from ${duration(placed.start_ns)} for ${duration(made.wall_ns)}`}
      />
    );
  };
  return (
    <div
      class="waterfall"
      role="application"
      aria-label={`Waterfall of ${duration(request.wall_ns)}. Plus and minus zoom, arrows move.`}
      tabIndex={0}
      onKeyDown={pressed}
      onPointerMove={tell}
      onPointerLeave={() => setTold('')}
      onPointerUp={release}
    >
      <div class="told">
        <b>waterfall</b>
        <output>{told}</output>
        {(from !== all[0] || to !== all[1]) && (
          <button type="button" onClick={() => zoom(null)}>
            all of it (0)
          </button>
        )}
      </div>
      <div
        class="lanes"
        onPointerDown={(event) => {
          const isPlain = event.pointerType === 'mouse' && !(event.target as Element).closest('a, button');
          if (isPlain) setDrawn([at(event), at(event)]);
        }}
      >
        <div class="lane axis-lane">
          <span class="label" />
          <div ref={area} class="area">
            {width > 0 && <Axis from={from} to={to} scale={scale} width={width} />}
          </div>
          <span class="figure" />
        </div>
        <Lane
          label={<b>where it went</b>}
          figure={duration(request.wall_ns)}
          height={24}
          boxes={shown(whole.timeline.map((of) => piece(of.start_ns, of.end_ns, of.bucket)))}
          say="its wall time by bucket, in order"
        />
        {(whole.held_up ?? []).length > 0 && (
          <Lane
            label="kept waiting by"
            figure={duration(request.delays.reduce((sum, delay) => sum + delay.wait_ns, 0))}
            height={16}
            boxes={shown(
              whole.held_up.map((of) => ({ ...heldUp(of.delay), start: of.start_ns, end: of.end_ns })),
            )}
            say={request.delays.map((delay) => `${duration(delay.wait_ns)} by ${delay.route}`).join(', ')}
          />
        )}
        {contexts.map((context) => (
          <div key={context.number} class="context">
            <Lane
              label={`context ${context.number + 1}, ${context.thread}`}
              figure={duration(context.ran_ns)}
              height={14}
              boxes={shown(context.steps.map(step))}
              say={`${context.steps.length} steps of context ${context.number + 1}, ${duration(context.ran_ns)}`}
            />
            {context.calls.map(call)}
          </div>
        ))}
        {rest.count > 0 && (
          <Lane
            label={`${rest.count} more contexts`}
            figure={duration(rest.ran_ns)}
            height={14}
            boxes={shown(rest.steps.map(step))}
            say={`steps of ${rest.count} more contexts, ${duration(rest.ran_ns)}`}
          />
        )}
        <ul class="legend">
          <li>
            <i class="swatch step" /> step
          </li>
          <li>
            <i class="swatch call" /> call, outside of its phases
          </li>
          {(whole.held_up ?? []).length > 0 && (
            <li>
              <i class="swatch held-up" /> another request has the event loop
            </li>
          )}
          {largest(request.buckets).map(([name]) => (
            <li key={name}>
              <i class={`swatch ${colour(name)}`} /> {name}
            </li>
          ))}
        </ul>
        {drawn && (
          <div class="lane over">
            <span class="label" />
            <div class="area">
              <div
                class="drawn"
                style={{
                  left: `${scale(Math.min(...drawn))}px`,
                  width: `${Math.abs(scale(drawn[1]) - scale(drawn[0]))}px`,
                }}
              />
            </div>
            <span class="figure" />
          </div>
        )}
      </div>
    </div>
  );

  function piece(start: number, end: number, bucket: string): Box {
    return { start, end, kind: colour(bucket), tell: bucket };
  }

  function step(of: Whole['steps'][number]): Box {
    const ran = of.function === null ? undefined : request.functions[of.function];
    return { start: of.start_ns, end: of.end_ns, kind: 'step', tell: ran ? `step in ${frame(ran)}` : 'step' };
  }

  function heldUp(index: number) {
    const delay = request.delays[index];
    const label = `${delay?.route}${delay?.function ? ` in ${frame(delay.function)}` : ''}`;
    return { kind: 'held-up', label, tell: `${label}, request ${delay?.request}, has the event loop` };
  }
}

function Lane(props: {
  label: ComponentChildren;
  figure: string;
  height: number;
  boxes: Drawn[];
  say: string;
  kind?: string;
}) {
  return (
    <div class={`lane ${props.kind ?? ''}`}>
      <span class="label">{props.label}</span>
      <div class="area">
        <svg role="img" aria-label={props.say} width="100%" height={props.height}>
          {props.boxes.map((box) => (
            <rect
              key={`${box.kind}${box.start}${box.tell}`}
              class={box.kind}
              x={box.x}
              width={box.width}
              height={props.height}
              data-tell={`${box.tell}: ${duration(box.end - box.start)}, from ${duration(box.start)} to ${duration(box.end)}`}
            />
          ))}
          {props.boxes.map((box) => {
            const room = Math.floor((box.width - 8) / 6.4);
            if (!box.label || room < 12) return null;
            return (
              <text key={box.start} x={box.x + 4} y={props.height - 4}>
                {box.label.length > room ? `${box.label.slice(0, room - 1)}…` : box.label}
              </text>
            );
          })}
        </svg>
      </div>
      <span class="figure">{props.figure}</span>
    </div>
  );
}

function Axis(props: { from: number; to: number; scale: (ns: number) => number; width: number }) {
  return (
    <svg width={props.width} height="16" aria-hidden="true">
      {ticks(props.from, props.to, props.width / 100).map((ns) => (
        <g key={ns} class="axis">
          <line x1={props.scale(ns)} x2={props.scale(ns)} y1="11" y2="16" />
          <text
            x={props.scale(ns)}
            y="9"
            text-anchor={
              props.scale(ns) < 20 ? 'start' : props.scale(ns) > props.width - 24 ? 'end' : 'middle'
            }
          >
            {duration(ns)}
          </text>
        </g>
      ))}
    </svg>
  );
}

/** Up to where something is drawn: calls may last longer than their request. */
function extent({ request }: Whole): number {
  return Math.max(request.wall_ns, 1);
}

function zoomOf(text: string | null, all: [number, number]): [number, number] {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text ?? '') ?? [];
  return from === undefined ? all : within([Number(from) * 1e3, Number(to) * 1e3], all);
}

/** A stretch within another, as long as it was where there is room. */
function within([from, to]: [number, number], [first, last]: [number, number]): [number, number] {
  const length = Math.min(Math.max(to - from, LEAST_NS), last - first);
  const start = Math.min(Math.max(from, first), last - length);
  return [start, start + length];
}

function openDetails(number: number) {
  const details = document.getElementById(`call-${number}`);
  if (details instanceof HTMLDetailsElement) details.open = true;
}
