import { query, useAnswer } from '../api';
import { count, duration, share } from '../format';
import { address } from '../location';
import { Link } from '../parts/link';
import { State } from '../parts/state';
import { asked, useRange } from '../range';
import type { Vendor } from '../types';
import type { ViewProps } from '.';

/** Whom calls went to, and how quickly that answered. */
export function Vendors({ version }: ViewProps) {
  const range = useRange();
  const answer = useAnswer<{ vendors: Vendor[] }>(`/vendors?${query(asked(range))}`, version);
  const vendors = answer.data?.vendors ?? [];
  const slowest = Math.max(...vendors.map((vendor) => vendor.first_byte_p95_ns ?? 0), 1);
  return (
    <>
      <div class="title">
        <h1>vendors</h1>
      </div>
      <State answer={answer} empty={vendors.length === 0 && 'No call ended in this range.'} />
      {vendors.length > 0 && (
        <section class="panel scroll">
          <table>
            <caption>by vendor, host and model, the most called first</caption>
            <thead>
              <tr>
                <th>vendor</th>
                <th>host</th>
                <th>model</th>
                <th class="number">calls</th>
                <th class="number">errors</th>
                <th class="number">retries</th>
                <th class="number">first byte p50</th>
                <th class="number">p95</th>
                <th class="range-column">p50 to p95</th>
                <th class="number">first content p50</th>
                <th class="number">p95</th>
                <th class="number">tokens/s p50</th>
                <th class="number">slowest 5 %</th>
                <th class="number">tokens in</th>
                <th class="number">out</th>
              </tr>
            </thead>
            <tbody>
              {vendors.map((vendor) => (
                <tr key={`${vendor.vendor} ${vendor.host} ${vendor.model}`}>
                  <th scope="row">
                    {vendor.vendor ? (
                      <Link to={address('/requests', { vendor: vendor.vendor })}>{vendor.vendor}</Link>
                    ) : (
                      <span class="quiet">no LLM vendor</span>
                    )}
                  </th>
                  <td>{vendor.host || '?'}</td>
                  <td>
                    {vendor.model ? (
                      <Link to={address('/requests', { model: vendor.model })}>{vendor.model}</Link>
                    ) : (
                      '?'
                    )}
                  </td>
                  <td class="number">{count(vendor.calls)}</td>
                  <td class={vendor.errors > 0 ? 'number bad' : 'number'}>
                    {share(vendor.errors, vendor.calls)}
                  </td>
                  <td class={vendor.retries > 0 ? 'number bad' : 'number'}>{count(vendor.retries)}</td>
                  <td class="number">{duration(vendor.first_byte_p50_ns)}</td>
                  <td class="number">{duration(vendor.first_byte_p95_ns)}</td>
                  <td class="range-column">
                    <Spread from={vendor.first_byte_p50_ns} to={vendor.first_byte_p95_ns} whole={slowest} />
                  </td>
                  <td class="number">{duration(vendor.first_content_p50_ns)}</td>
                  <td class="number">{duration(vendor.first_content_p95_ns)}</td>
                  <td class="number">{perSecond(vendor.tokens_per_second_p50)}</td>
                  <td class="number">{perSecond(vendor.tokens_per_second_p5)}</td>
                  <td class="number">{count(vendor.input_tokens)}</td>
                  <td class="number">{count(vendor.output_tokens)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </>
  );
}

function perSecond(rate: number | null): string {
  return rate === null ? '?' : `${rate.toFixed(rate < 10 ? 1 : 0)}/s`;
}

/** From the median to the 95th percentile, on the scale of all. */
function Spread({ from, to, whole }: { from: number | null; to: number | null; whole: number }) {
  if (from === null || to === null) return null;
  const [left, right] = [(100 * from) / whole, (100 * to) / whole];
  return (
    <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect class="count" x="0" y="4.5" width="100" height="1" opacity="0.3" />
      <rect class="b-llm-first_byte" x={left} y="2" width={Math.max(0.8, right - left)} height="6" />
    </svg>
  );
}
