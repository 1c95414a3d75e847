import { useEffect, useState } from 'preact/hooks';
import { useAnswer } from '../api';
import { bytes, count, duration, moment } from '../format';
import { State } from '../parts/state';
import type { Health as Data } from '../types';

/** How often it is asked, while somebody looks. */
const EVERY_MS = 2_000;

/** What the tracer itself costs, holds and lost. */
export function Health() {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setVersion((version) => version + 1), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const answer = useAnswer<Data>('/health', version);
  const health = answer.data;
  return (
    <>
      <div class="title">
        <h1>health of the tracer</h1>
        {health && <output>version {health.version}</output>}
      </div>
      <State answer={answer} />
      {health && (
        <>
          {!health.is_tracing && (
            <p class="notice">
              Nothing is traced: a history is shown that ends at {moment(health.now_unix_ns)}.
            </p>
          )}
          <div class="pair">
            <Table title="since the start" rows={since(health)} />
            <Table title="now" rows={now(health)} />
            <Table title="history" rows={history(health)} />
            <Table
              title="lost, by kind"
              rows={lost(health)}
              empty="Nothing was lost."
              note="Requests that a loss touches are marked incomplete. Raise ring_bytes where `ring` losses are told."
            />
          </div>
        </>
      )}
    </>
  );
}

type Row = [string, string, boolean?];

function since(health: Data): Row[] {
  return [
    ['uptime', duration(health.uptime_ns)],
    ['requests', count(health.requests)],
    ['events read', count(health.events)],
    ['events that came too late for their order', count(health.late_events), health.late_events > 0],
    ['CPU time', duration(health.cpu_ns)],
    ['CPU, of one core', health.cpu_ns === null ? '?' : percent(health.cpu_ns, health.uptime_ns)],
  ];
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
}

function now(health: Data): Row[] {
  const held = Object.entries(health.held).map(
    ([name, number]): Row => [name.replaceAll('_', ' '), count(number)],
  );
  return [
    ['latest batch', health.at_unix_ns > 0 ? moment(health.at_unix_ns) : '?'],
    ['processes traced', count(health.processes)],
    ['longest wait of an event in the ring', duration(health.ring_lag_ns)],
    ['memory', bytes(health.resident_bytes)],
    ['open files', count(health.open_files)],
    ...held.filter(([name]) => name !== 'processes'),
  ];
}

function history({ history }: Data): Row[] {
  return [
    ['file', history.path ?? 'none is kept'],
    ['size', history.bytes > 0 ? bytes(history.bytes) : '?'],
    ['trouble', history.trouble ?? 'none', history.trouble !== null],
  ];
}

function lost(health: Data): Row[] {
  const kinds = Object.entries(health.lost).filter(([, number]) => number > 0);
  return kinds.map(([kind, number]) => [kind, count(number), true]);
}

function Table(props: { title: string; rows: Row[]; empty?: string; note?: string }) {
  return (
    <section class="panel">
      <table>
        <caption>{props.title}</caption>
        <tbody>
          {props.rows.map(([title, value, isBad]) => (
            <tr key={title}>
              <th scope="row">{title}</th>
              <td class={isBad ? 'number bad' : 'number'}>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {props.rows.length === 0 && <p class="quiet">{props.empty}</p>}
      {props.rows.length > 0 && props.note && <p class="quiet">{props.note}</p>}
    </section>
  );
}
