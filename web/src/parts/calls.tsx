import { bytes, count, duration, frame } from '../format';
import type { Call, Request } from '../types';

/** The calls of a request, each with all that is known of it. */
export function Calls({ request }: { request: Request }) {
  const background = request.background?.calls ?? [];
  if (request.calls.length + background.length === 0) return null;
  return (
    <section class="panel">
      <h2>calls</h2>
      {request.calls.map((call, index) => (
        <Details key={call.id} call={call} number={index + 1} request={request} />
      ))}
      {background.length > 0 && <h2>calls after the answer</h2>}
      {background.map((call, index) => (
        <Details key={call.id} call={call} number={request.calls.length + index + 1} request={request} />
      ))}
    </section>
  );
}

function Details({ call, number, request }: { call: Call; number: number; request: Request }) {
  const begins = (call.start_unix_ns - request.start_unix_ns) / 1e6;
  return (
    <details class="call" id={`call-${number}`} open={request.calls.length <= 2}>
      <summary>
        {number} {target(call)} <b>{duration(call.wall_ns)}</b>
        {call.status !== null && call.status >= 400 && <b class="bad"> {call.status}</b>}
        {call.attempt > 1 && <b class="bad"> attempt {call.attempt}</b>}
      </summary>
      <dl class="facts">
        {facts(call, begins).map(([title, value]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {call.stack.length > 0 && (
        <ol class="stack" aria-label="Who made it, the innermost first">
          {call.stack.map((caller, index) => (
            <li key={index} class={caller.application ? 'application' : ''} title={caller.file}>
              {frame(caller)}
            </li>
          ))}
        </ol>
      )}
    </details>
  );
}

/** `api.openai.com, openai, chat, gpt-5` */
export function target(call: Call): string {
  return [call.host ?? '?', call.vendor, call.operation, call.model].filter(Boolean).join(', ');
}

function facts(call: Call, begins: number): [string, string][] {
  const all: [string, string | null][] = [
    ['began after', duration(begins * 1e6)],
    ['status', String(call.status ?? '?')],
    ['attempt', String(call.attempt)],
    ['connection', call.connection_reused ? 'reused' : 'new'],
    ['DNS', call.connection_reused ? null : duration(call.dns_ns)],
    ['connect', call.connection_reused ? null : duration(call.connect_ns)],
    ['TLS', call.connection_reused ? null : duration(call.tls_ns)],
    ['send', duration(call.send_ns)],
    ['first byte', duration(call.first_byte_ns)],
    ['first content', call.stream === false ? null : duration(call.first_content_ns)],
    ['stream', duration(call.stream_ns)],
    ['read late by', duration(call.read_delay_ns)],
    ['chunks', count(call.chunks)],
    ['tokens in', count(call.input_tokens)],
    ['tokens out', count(call.output_tokens)],
    ['round trip', duration(call.rtt_ns)],
    ['by the vendor’s account', call.vendor_reported_ns === null ? null : duration(call.vendor_reported_ns)],
    ['sent', bytes(call.bytes_out)],
    ['received', bytes(call.bytes_in)],
    ['ended', call.end?.replace('_', ' ') ?? '?'],
    ['vendor’s name for it', call.vendor_request_id],
  ];
  return all.filter((fact): fact is [string, string] => fact[1] !== null);
}
