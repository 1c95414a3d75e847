import { useAnswer } from '../api';
import { BUCKETS, colour, largest, SIDE_TITLES, side, unseen } from '../buckets';
import { count, duration, frame, moment, share } from '../format';
import { address, usePlace } from '../location';
import { Bar, sides } from '../parts/bar';
import { Calls } from '../parts/calls';
import { Link } from '../parts/link';
import { State } from '../parts/state';
import { Waterfall } from '../parts/waterfall';
import type { Request as Data, FunctionTime, Whole } from '../types';

/** One request: where its time went, its contexts and calls, and who delayed it. */
export function Request() {
  const id = usePlace().path.split('/')[2] ?? '';
  const answer = useAnswer<Whole>(/^\d+$/.test(id) ? `/requests/${id}` : null);
  const whole = answer.data;
  if (!whole) return <State answer={answer} />;
  const { request } = whole;
  return (
    <>
      <div class="title">
        <h1>{request.kind === 'run' ? '(run)' : `${request.method ?? '?'} ${request.path ?? '?'}`}</h1>
        {request.route && (
          <Link to={address('/requests', { route: `${request.method} ${request.route}` })}>its route</Link>
        )}
        <Link to={address('/flame', { request: request.id })}>its flame graph</Link>
      </div>
      <Facts request={request} />
      <section class="panel">
        <Waterfall whole={whole} />
      </section>
      <div class="pair">
        <ByBucket whole={whole} />
        <div>
          <Delays request={request} />
          <Functions request={request} />
          <Waits request={request} />
        </div>
      </div>
      <Calls request={request} />
    </>
  );
}

function Facts({ request }: { request: Data }) {
  const facts: [string, string, boolean?][] = [
    ['wall time', duration(request.wall_ns)],
    ['status', request.kind === 'run' ? 'none' : String(request.status ?? '?'), (request.status ?? 0) >= 500],
    ['first byte', duration(request.first_byte_ns)],
    ['CPU', duration(request.cpu_ns)],
    ['contexts', String(request.contexts)],
    ['began', moment(request.start_unix_ns)],
    ['process', String(request.pid)],
    ['request', request.id],
  ];
  if (request.traceparent) facts.push(['trace', request.traceparent]);
  if (request.background) facts.push(['went on after its answer for', duration(request.background.wall_ns)]);
  return (
    <>
      <dl class="tiles small">
        {facts.map(([title, value, isBad]) => (
          <div key={title} class={isBad ? 'tile bad' : 'tile'}>
            <dt>{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {!request.complete && (
        <p class="notice">
          Incomplete: events that could belong to it were lost, or its beginning or end was not seen.
        </p>
      )}
    </>
  );
}

function ByBucket({ whole: { request, unknown } }: { whole: Whole }) {
  const reason = (bucket: string) =>
    unknown?.find((of) => of.bucket === bucket)?.reason ?? 'no probe could see it';
  return (
    <section class="panel">
      <table>
        <caption>{sides(request.buckets)}</caption>
        <thead>
          <tr>
            <th>bucket</th>
            <th>whose</th>
            <th class="number">time</th>
            <th class="number">share</th>
          </tr>
        </thead>
        <tbody>
          {largest(request.buckets).map(([name, ns]) => (
            <tr key={name} title={BUCKETS[name]}>
              <th scope="row">
                <i class={`swatch ${colour(name)}`} /> {name}
              </th>
              <td>{SIDE_TITLES[side(name)]}</td>
              <td class="number">{duration(ns)}</td>
              <td class="number">{share(ns, request.wall_ns)}</td>
            </tr>
          ))}
          {unseen(request.buckets).map((name) => (
            <tr key={name} class="unknown">
              <th scope="row">
                <i class="swatch b-unknown" /> {name}
              </th>
              <td>{SIDE_TITLES[side(name)]}</td>
              <td class="number" colSpan={2}>
                <abbr title={reason(name)}>?</abbr> {reason(name)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Bar buckets={request.buckets} />
    </section>
  );
}

function Delays({ request }: { request: Data }) {
  if (request.delays.length === 0) return null;
  return (
    <section class="panel">
      <table>
        <caption>who kept the event loop while it waited</caption>
        <tbody>
          {request.delays.map((delay) => (
            <tr key={`${delay.request}${delay.function?.function}`}>
              <td class="number">{duration(delay.wait_ns)}</td>
              <th scope="row">
                <Link to={address(`/requests/${delay.request}`)}>
                  {delay.route}, request {delay.request}
                </Link>
                {delay.function && <> in {frame(delay.function)}</>}
              </th>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Waits({ request }: { request: Data }) {
  if (request.waits.length === 0) return null;
  return (
    <section class="panel scroll">
      <table>
        <caption>what its threads and coroutines waited in</caption>
        <thead>
          <tr>
            <th>bucket</th>
            <th>function</th>
            <th class="number">time</th>
            <th class="number">times</th>
          </tr>
        </thead>
        <tbody>
          {request.waits.map((wait) => (
            <tr key={`${wait.bucket} ${wait.stack.map(frame).join()}`}>
              <th scope="row">
                <i class={`swatch ${colour(wait.bucket)}`} /> {wait.bucket}
              </th>
              <td title={wait.stack.map(frame).join('\n')}>{wait.stack.slice(0, 1).map(frame)}</td>
              <td class="number">{duration(wait.wait_ns)}</td>
              <td class="number">{count(wait.times)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Functions({ request }: { request: Data }) {
  if (request.functions.length === 0) return null;
  return (
    <section class="panel scroll">
      <table>
        <caption>functions, by CPU time as samples tell</caption>
        <thead>
          <tr>
            <th>function</th>
            <th class="number">own</th>
            <th class="number">total</th>
            <th>of its own in native code</th>
          </tr>
        </thead>
        <tbody>
          {request.functions.map((of) => (
            <tr key={`${of.file}:${of.line}:${of.function}`}>
              <th scope="row" title={of.file}>
                {frame(of)}
              </th>
              <td class="number">{duration(of.self_ns)}</td>
              <td class="number">{duration(of.total_ns)}</td>
              <td>{native(of)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** `4.02 ms libssl.so.3, 1.01 ms [kernel]` */
function native(of: FunctionTime): string {
  return of.native.map(({ library, self_ns }) => `${duration(self_ns)} ${library}`).join(', ');
}
