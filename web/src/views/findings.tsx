import { query, useAnswer } from '../api';
import { count, duration, share } from '../format';
import { address } from '../location';
import { Link } from '../parts/link';
import { State } from '../parts/state';
import { asked, useRange } from '../range';
import type { Finding } from '../types';
import type { ViewProps } from '.';

/** Named bottlenecks, yours apart from the vendor's, the costliest first, each with its evidence and what to do. */
export function Findings({ version }: ViewProps) {
  const range = useRange();
  const answer = useAnswer<{ findings: Finding[] }>(`/findings?${query(asked(range))}`, version);
  const findings = answer.data?.findings ?? [];
  const most = Math.max(...findings.map((finding) => finding.cost_ns), 1);
  return (
    <>
      <div class="title">
        <h1>findings</h1>
        <output>by what they cost requests in all</output>
      </div>
      <State answer={answer} empty={findings.length === 0 && 'Nothing was found in this range.'} />
      {SIDES.map(([side, whose]) => {
        const its = findings.filter((finding) => finding.side === side);
        return its.length > 0 && <Side key={side} whose={whose} findings={its} most={most} />;
      })}
    </>
  );
}

const SIDES = [
  ['own', 'yours to fix'],
  ['vendor', 'the vendor’s'],
  ['other', 'of others'],
] as const;

function Side({ whose, findings, most }: { whose: string; findings: Finding[]; most: number }) {
  return (
    <section>
      <h2>{whose}</h2>
      <ol class="findings">
        {findings.map((finding) => (
          <li key={`${finding.kind} ${finding.title}`} class="panel">
            <div class="cost">
              <b>{duration(finding.cost_ns)}</b>
              <span>{count(finding.requests)} requests</span>
              <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                <rect class="cost-bar" width={(100 * finding.cost_ns) / most} height="10" />
              </svg>
            </div>
            <div>
              <h3>{finding.title}</h3>
              <p class="advice">{finding.advice}</p>
              <Evidence evidence={finding.evidence} />
              <p class="quiet">
                <code>{finding.kind}</code>
                {typeof finding.evidence.route === 'string' && <Routes route={finding.evidence.route} />}
              </p>
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}

function Routes({ route }: { route: string }) {
  return (
    <>
      <Link to={address('/requests', { route, order: 'slowest' })}>its slowest requests</Link>
      <Link to={address('/flame', { route })}>its flame graph</Link>
    </>
  );
}

function Evidence({ evidence }: { evidence: Finding['evidence'] }) {
  const facts = Object.entries(evidence).filter(([key, value]) => key !== 'route' && value !== null);
  return (
    <dl class="evidence">
      {facts.map(([key, value]) => (
        <div key={key}>
          <dt>{title(key)}</dt>
          <dd>{text(key, value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** `held_up_ns` is `held up`. */
function title(key: string): string {
  return key.replace(/_ns$/, '').replaceAll('_', ' ');
}

/** Keys of durations end in `_ns`, those of shares in `share`; what has names has one figure for each. */
function text(key: string, value: unknown): string {
  if (typeof value === 'number') {
    if (key.endsWith('_ns')) return duration(value);
    return key.endsWith('share') ? share(value, 1) : count(value);
  }
  if (Array.isArray(value)) return value.map((one) => text(key, one)).join(', ');
  if (typeof value === 'object' && value !== null) {
    const named = Object.entries(value).sort((one, other) => Number(other[1]) - Number(one[1]));
    return named.map(([name, one]) => `${name} ${text(key, one)}`).join(', ');
  }
  return String(value);
}
