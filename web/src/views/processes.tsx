import { query, useAnswer } from '../api';
import { moment } from '../format';
import { address } from '../location';
import { Link } from '../parts/link';
import { State } from '../parts/state';
import { asked, useRange } from '../range';
import type { Process, Unknown } from '../types';
import type { ViewProps } from '.';

/** Which processes were traced, and what of them is unknown and why. */
export function Processes({ version }: ViewProps) {
  const range = useRange();
  const answer = useAnswer<{ processes: Process[] }>(`/processes?${query(asked(range))}`, version);
  const processes = answer.data?.processes ?? [];
  return (
    <>
      <div class="title">
        <h1>processes</h1>
      </div>
      <State answer={answer} empty={processes.length === 0 && 'No process was traced in this range.'} />
      {processes.length > 0 && (
        <section class="panel scroll">
          <table>
            <thead>
              <tr>
                <th class="number">pid</th>
                <th>command</th>
                <th>Python</th>
                <th>where</th>
                <th>started</th>
                <th>seen until</th>
                <th>what is unknown, and why</th>
              </tr>
            </thead>
            <tbody>
              {processes.map((process) => (
                <tr key={`${process.pid} ${process.start_unix_ns}`}>
                  <td class="number">
                    <Link to={address('/requests', { pid: process.pid })}>{process.pid}</Link>
                  </td>
                  <th scope="row" title={process.exe}>
                    <code>{process.cmdline || process.exe}</code>
                  </th>
                  <td>{process.python ?? '?'}</td>
                  <td>{where(process)}</td>
                  <td class="moment">{moment(process.start_unix_ns)}</td>
                  <td class="moment">{moment(process.seen_unix_ns)}</td>
                  <td>
                    <Unseen unknown={process.unknown} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </>
  );
}

function where({ pod, container_id: container }: Process): string {
  if (pod) return `${pod.namespace}/${pod.name}, ${pod.container}`;
  return container ? `container ${container.slice(0, 12)}` : 'host';
}

/** Buckets that share a reason are told together. */
function Unseen({ unknown }: { unknown: Unknown[] }) {
  if (unknown.length === 0) return <>nothing</>;
  const reasons = new Map<string, string[]>();
  for (const { bucket, reason } of unknown) reasons.set(reason, [...(reasons.get(reason) ?? []), bucket]);
  return (
    <ul class="plain">
      {[...reasons].map(([reason, buckets]) => (
        <li key={reason}>
          <b>{buckets.join(', ')}</b>: {reason}
        </li>
      ))}
    </ul>
  );
}
