import { query, useAnswer } from '../api';
import { ofSide, SIDE_TITLES, SIDES, sum } from '../buckets';
import { count, duration, rate, share } from '../format';
import { address, adjusted, go, usePlace } from '../location';
import { Bar } from '../parts/bar';
import { Link } from '../parts/link';
import {
  BucketsOverTime,
  Legend,
  type Mode,
  PercentilesOverTime,
  RequestsOverTime,
} from '../parts/over_time';
import { State } from '../parts/state';
import { asked, useRange } from '../range';
import type { Overview as Data, Figures, RouteFigures } from '../types';
import type { ViewProps } from '.';

/** Pieces of the range: of an hour, minutes. */
const POINTS = 64;

/** All routes, or one: what requests came to, in all, over time and by route. */
export function Overview({ version }: ViewProps) {
  const range = useRange();
  const place = usePlace();
  const route = place.query.get('route');
  const mode: Mode = place.query.get('by') === 'share' ? 'share' : 'mean';
  const answer = useAnswer<Data>(`/overview?${query({ ...asked(range), route, points: POINTS })}`, version);
  const data = answer.data;
  return (
    <>
      <div class="title">
        <h1>{route ?? 'all routes'}</h1>
        {route && <Link to={adjusted({ route: null })}>all routes</Link>}
        {route && <Link to={address('/requests', { route })}>its requests</Link>}
        {route && <Link to={address('/flame', { route })}>its flame graph</Link>}
      </div>
      <State answer={answer} empty={data?.total.requests === 0 && 'No request ended in this range.'} />
      {data && data.total.requests > 0 && (
        <>
          <Tiles figures={data.total} range={data.to_unix_ns - data.from_unix_ns} />
          <section class="panel">
            <div class="switch" role="group" aria-label="Measure">
              {(['mean', 'share'] as const).map((of) => (
                <button
                  key={of}
                  type="button"
                  aria-pressed={mode === of}
                  onClick={() => go(adjusted({ by: of === 'mean' ? null : of }), true)}
                >
                  {of === 'mean' ? 'per request' : 'share'}
                </button>
              ))}
            </div>
            <BucketsOverTime overview={data} mode={mode} />
            <Legend buckets={data.total.buckets} />
          </section>
          <div class="pair">
            <section class="panel">
              <PercentilesOverTime overview={data} />
            </section>
            <section class="panel">
              <RequestsOverTime overview={data} />
            </section>
          </div>
          <Routes routes={data.routes} range={data.to_unix_ns - data.from_unix_ns} />
        </>
      )}
    </>
  );
}

function Tiles({ figures, range }: { figures: Figures; range: number }) {
  const all = sum(figures.buckets);
  const sides = SIDES.map((side) => (
    <div key={side} class={`tile side-${side}`}>
      <dt>{SIDE_TITLES[side]}</dt>
      <dd>{share(ofSide(figures.buckets, side), all)}</dd>
    </div>
  ));
  return (
    <dl class="tiles">
      <Tile title="requests" value={rate(figures.requests, range)} more={count(figures.requests)} />
      <Tile
        title="errors"
        value={share(figures.errors, figures.requests)}
        more={count(figures.errors)}
        isBad={figures.errors > 0}
      />
      <Tile title="p50" value={duration(figures.p50_ns)} />
      <Tile title="p95" value={duration(figures.p95_ns)} />
      <Tile title="p99" value={duration(figures.p99_ns)} />
      {sides}
    </dl>
  );
}

function Tile(props: { title: string; value: string; more?: string; isBad?: boolean }) {
  return (
    <div class={props.isBad ? 'tile bad' : 'tile'}>
      <dt>{props.title}</dt>
      <dd>
        {props.value} {props.more && <small>{props.more}</small>}
      </dd>
    </div>
  );
}

function Routes({ routes, range }: { routes: RouteFigures[]; range: number }) {
  const slowest = Math.max(...routes.map((route) => sum(route.buckets) / Math.max(1, route.requests)));
  return (
    <section class="panel scroll">
      <table>
        <caption>routes, the one with the most time first</caption>
        <thead>
          <tr>
            <th>route</th>
            <th class="number">rate</th>
            <th class="number">errors</th>
            <th class="number">p50</th>
            <th class="number">p95</th>
            <th class="number">p99</th>
            <th class="wide">mean request, by bucket</th>
            <th class="number">yours</th>
            <th class="number">vendor</th>
          </tr>
        </thead>
        <tbody>
          {routes.map((route) => {
            const all = sum(route.buckets);
            return (
              <tr key={route.route}>
                <th scope="row">
                  <Link to={adjusted({ route: route.route })}>{route.route}</Link>
                </th>
                <td class="number">{rate(route.requests, range)}</td>
                <td class={route.errors > 0 ? 'number bad' : 'number'}>
                  {share(route.errors, route.requests)}
                </td>
                <td class="number">{duration(route.p50_ns)}</td>
                <td class="number">{duration(route.p95_ns)}</td>
                <td class="number">{duration(route.p99_ns)}</td>
                <td class="wide">
                  <Bar buckets={route.buckets} whole={slowest * route.requests} />
                </td>
                <td class="number">{share(ofSide(route.buckets, 'own'), all)}</td>
                <td class="number">{share(ofSide(route.buckets, 'vendor'), all)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
