/** What the overview shows over time. */

import { colour, ofSide, SIDE_TITLES, SIDES, STACKED, sum, unseen } from '../buckets';
import { axisDuration, count, duration, rate, share } from '../format';
import { address } from '../location';
import type { Overview, Point } from '../types';
import { Chart } from './chart';
import { Link } from './link';

export type Mode = 'mean' | 'share';

/** The mean request of each piece by bucket: yours at the base, the vendor's above it. */
export function BucketsOverTime({ overview, mode }: { overview: Overview; mode: Mode }) {
  const { points } = overview;
  const whole = (point: Point) =>
    mode === 'mean' ? Math.max(1, point.requests) : Math.max(1, sum(point.buckets));
  const largest =
    mode === 'share' ? 1 : Math.max(...points.map((point) => sum(point.buckets) / whole(point)), 1);
  const total = overview.total;
  const used = STACKED.filter((name) => (total.buckets[name] ?? 0) > 0);
  return (
    <Chart
      {...frame(overview)}
      title={mode === 'mean' ? 'mean request, by bucket' : 'share of the time, by bucket'}
      summary={sides(total)}
      largest={largest}
      height={210}
      unit={mode === 'mean' ? axisDuration : (value) => share(value, 1)}
      tell={(index) => tell(points[index])}
    >
      {({ x, y, piece }) =>
        points.map((point) => {
          let below = 0;
          return used.map((name) => {
            const value = (point.buckets[name] ?? 0) / whole(point);
            const [bottom, top] = [y(below), y(below + value)];
            below += value;
            if (bottom - top < 0.3) return null;
            return (
              <rect
                key={`${point.start_unix_ns}${name}`}
                class={colour(name)}
                x={x(point.start_unix_ns) + 0.5}
                width={Math.max(1, piece - 1)}
                y={top}
                height={bottom - top}
              />
            );
          });
        })
      }
    </Chart>
  );

  function tell(point: Point | undefined): string {
    if (!point) return '';
    return `${count(point.requests)} requests, mean ${duration(sum(point.buckets) / Math.max(1, point.requests))}: ${sides(point)}`;
  }
}

function sides({ buckets }: { buckets: Point['buckets'] }): string {
  return SIDES.map((side) => `${SIDE_TITLES[side]} ${share(ofSide(buckets, side), sum(buckets))}`).join(', ');
}

const PERCENTILES = ['p50_ns', 'p95_ns', 'p99_ns'] as const;

export function PercentilesOverTime({ overview }: { overview: Overview }) {
  const { points } = overview;
  const title = (percentile: (typeof PERCENTILES)[number]) => percentile.slice(0, 3);
  return (
    <>
      <Chart
        {...frame(overview)}
        title="wall time: p50, p95, p99"
        summary={PERCENTILES.map((of) => `${title(of)} ${duration(overview.total[of])}`).join(', ')}
        largest={Math.max(...points.map((point) => point.p99_ns ?? 0), 1)}
        height={130}
        unit={axisDuration}
        tell={(index) => PERCENTILES.map((of) => `${title(of)} ${duration(points[index]?.[of])}`).join(', ')}
      >
        {({ x, y, piece }) =>
          PERCENTILES.map((of) => (
            <path
              key={of}
              class={`line ${of.slice(0, 3)}`}
              d={path(
                points.map((point) => [x(point.start_unix_ns) + piece / 2, y(point[of] ?? 0)]),
                piece * 1.5,
              )}
            />
          ))
        }
      </Chart>
      <ul class="legend">
        {PERCENTILES.map((of) => (
          <li key={of}>
            <svg width="18" height="8" aria-hidden="true">
              <path class={`line ${title(of)}`} d="M0 4H18" />
            </svg>{' '}
            {title(of)} <b>{duration(overview.total[of])}</b>
          </li>
        ))}
      </ul>
    </>
  );
}

/** What is drawn of a piece, errors in front. */
const COUNTED = [
  ['count', 'requests'],
  ['errors', 'errors'],
] as const;

export function RequestsOverTime({ overview }: { overview: Overview }) {
  const { points, total } = overview;
  const seconds = overview.step_ns / 1e9;
  return (
    <Chart
      {...frame(overview)}
      title="requests, and errors"
      summary={`${count(total.requests)} requests, ${count(total.errors)} errors`}
      largest={Math.max(...points.map((point) => point.requests), 1) / seconds}
      height={130}
      unit={(value) => rate(value, 1e9)}
      tell={(index) => `${count(points[index]?.requests)} requests, ${count(points[index]?.errors)} errors`}
    >
      {({ x, y, piece }) =>
        points.map((point) => (
          <g key={point.start_unix_ns}>
            {COUNTED.map(([name, of]) => (
              <rect
                key={name}
                class={name}
                x={x(point.start_unix_ns) + 0.5}
                width={Math.max(1, piece - 1)}
                y={y(point[of] / seconds)}
                height={y(0) - y(point[of] / seconds)}
              />
            ))}
          </g>
        ))
      }
    </Chart>
  );
}

/** A line that is broken where pieces are missing. */
function path(points: [number, number][], gap: number): string {
  let before = Number.NEGATIVE_INFINITY;
  return points
    .map(([x, y]) => {
      const command = x - before > gap ? 'M' : 'L';
      before = x;
      return `${command}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join('');
}

/** From the first minute that is counted to the end of the last. */
function frame({ from_unix_ns, to_unix_ns, step_ns, points }: Overview) {
  const minute = 60e9;
  const from = Math.floor(from_unix_ns / minute) * minute;
  return {
    from,
    to: Math.max(Math.ceil(to_unix_ns / minute) * minute, (points.at(-1)?.start_unix_ns ?? 0) + step_ns),
    step: step_ns,
    starts: points.map((point) => point.start_unix_ns),
  };
}

/** The buckets that have time, with their colours. */
export function Legend({ buckets }: { buckets: Record<string, number | null> }) {
  const all = sum(buckets);
  const known = STACKED.filter((name) => (buckets[name] ?? 0) > all / 1000);
  return (
    <ul class="legend">
      {known.map((name) => (
        <li key={name}>
          <i class={`swatch ${colour(name)}`} /> {name} <b>{share(buckets[name] ?? 0, all)}</b>
        </li>
      ))}
      {unseen(buckets).map((name) => (
        <li key={name}>
          <i class="swatch b-unknown" /> {name} <Link to={address('/processes')}>? why</Link>
        </li>
      ))}
    </ul>
  );
}
