import { query, useAnswer } from '../api';
import { colour, NAMES } from '../buckets';
import { count, duration, frame, moment, share } from '../format';
import { adjusted, go, usePlace } from '../location';
import { State } from '../parts/state';
import { asked, useRange } from '../range';
import type { Comparison, Diff, DiffRoute, DiffSide } from '../types';
import type { ViewProps } from '.';

/** The range held against another one: which changes are real, and which differ by chance. */
export function Compare(_: ViewProps) {
  const range = useRange();
  const place = usePlace();
  const seconds = (name: string) => {
    const text = place.query.get(name);
    return text !== null && /^\d{1,10}$/.test(text) ? `${text}000000000` : null;
  };
  const base = { base_from_unix_ns: seconds('base_from'), base_to_unix_ns: seconds('base_to') };
  const answer = useAnswer<Diff>(`/diff?${query({ ...asked(range), ...base })}`);
  const diff = answer.data;
  return (
    <>
      <div class="title">
        <h1>compare</h1>
        <output>{answer.isAsking ? 'comparing…' : ''}</output>
      </div>
      {diff && <Ranges diff={diff} />}
      <State
        answer={answer}
        empty={diff?.routes.length === 0 && 'Neither range has requests: choose others, above.'}
      />
      {diff?.routes.map((route) => (
        <Route key={route.route} route={route} />
      ))}
      {diff && diff.routes.length > 0 && (
        <p class="quiet">
          Brackets hold the true change with {share(diff.confidence, 1)} confidence. A change is real when it
          is 5 % of the route’s time or more and chance would hardly make it.
        </p>
      )}
    </>
  );
}

/** What is compared with what; both are changed here. */
function Ranges({ diff }: { diff: Diff }) {
  const set = (from: string, to: string) => (range: [number, number]) =>
    go(adjusted({ [from]: range[0], [to]: range[1], ...(from === 'from' ? { since: null } : {}) }), true);
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      <Times title="before" side={diff.base} set={set('base_from', 'base_to')} />
      <Times title="after" side={diff.new} set={set('from', 'to')} />
    </form>
  );
}

function Times(props: { title: string; side: DiffSide; set: (range: [number, number]) => void }) {
  const { side } = props;
  const range: [number, number] = [
    Math.floor(side.start_unix_ns / 1e9),
    Math.ceil((side.start_unix_ns + side.duration_ns) / 1e9),
  ];
  const changed = (index: 0 | 1) => (event: Event) => {
    const value = new Date((event.currentTarget as HTMLInputElement).value).getTime() / 1e3;
    const next: [number, number] = [...range];
    next[index] = value;
    if (Number.isFinite(value) && next[0] < next[1]) props.set(next);
  };
  const text = (seconds: number) => moment(seconds * 1e9).replace(' ', 'T');
  const input = (index: 0 | 1) => (
    <input
      type="datetime-local"
      step="1"
      aria-label={`${props.title} ${index === 0 ? 'from' : 'to'}`}
      value={text(range[index])}
      onChange={changed(index)}
    />
  );
  return (
    <fieldset>
      <legend>
        {props.title}: {count(side.requests)} requests
        {side.incomplete > 0 && `, ${count(side.incomplete)} of them incomplete`}
      </legend>
      {input(0)} to {input(1)}
    </fieldset>
  );
}

const PRESENCE = { both: '', new: 'only after', gone: 'only before' };

function Route({ route }: { route: DiffRoute }) {
  const buckets = NAMES.filter(
    (name) => isWorthTelling(route.buckets[name]?.p50) || isWorthTelling(route.buckets[name]?.p95),
  );
  const functions = route.functions.filter((of) => isReal(of.self) || isReal(of.total));
  return (
    <section class="panel scroll">
      <table class="comparison">
        <caption>
          {route.route}{' '}
          <small>
            {PRESENCE[route.presence] ||
              `${count(route.base_requests)} and ${count(route.new_requests)} requests`}
            {route.base_errors + route.new_errors > 0 &&
              `, ${route.base_errors} and ${route.new_errors} errors`}
          </small>
        </caption>
        <thead>
          <tr>
            <th>figure</th>
            <th class="number">before</th>
            <th class="number">after</th>
            <th class="number">change</th>
            <th>of which real</th>
          </tr>
        </thead>
        <tbody>
          <Figure title="wall time, p50" of={route.wall.p50} />
          <Figure title="wall time, p95" of={route.wall.p95} />
          {buckets.flatMap((name) =>
            (['p50', 'p95'] as const)
              .filter((quantile) => isWorthTelling(route.buckets[name]?.[quantile]))
              .map((quantile) => (
                <Figure
                  key={`${name}${quantile}`}
                  swatch={colour(name)}
                  title={`${name}, ${quantile}`}
                  of={route.buckets[name]?.[quantile]}
                />
              )),
          )}
          {functions.map((of) => (
            <Figure
              key={`${of.file} ${of.function}`}
              title={`${frame({ ...of, line: of.new_line ?? of.base_line })}, mean`}
              of={isReal(of.self) ? of.self : of.total}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Of buckets, what changed or can't be compared for want of probes. */
function isWorthTelling(of: Comparison | undefined): boolean {
  return of !== undefined && (isReal(of) || of.verdict === 'host');
}

function isReal(of: Comparison): boolean {
  return of.verdict === 'grew' || of.verdict === 'shrank';
}

const VERDICTS: Record<string, string> = {
  grew: 'longer',
  shrank: 'shorter',
  host: 'the host was busier',
  no_change_seen: 'no change seen',
  too_few: 'too few requests to tell',
  negligible: 'negligible',
  unknown: 'unknown',
  one_sided: 'on one side only',
};

function Figure({ title, of, swatch }: { title: string; of: Comparison | undefined; swatch?: string }) {
  if (!of) return null;
  const interval = of.interval_ns && ` [${signed(of.interval_ns[0])}, ${signed(of.interval_ns[1])}]`;
  return (
    <tr class={of.verdict}>
      <th scope="row">
        {swatch && <i class={`swatch ${swatch}`} />} {title}
      </th>
      <td class="number">{duration(of.base_ns)}</td>
      <td class="number">{duration(of.new_ns)}</td>
      <td class="number">
        {of.difference_ns === null ? '' : signed(of.difference_ns)}
        {of.ratio !== null &&
          of.ratio !== 0 &&
          ` (${of.ratio > 0 ? '+' : '−'}${share(Math.abs(of.ratio), 1)})`}
        <small>{interval}</small>
      </td>
      <td class="verdict">{VERDICTS[of.verdict] ?? of.verdict}</td>
    </tr>
  );
}

function signed(ns: number): string {
  return ns > 0 ? `+${duration(ns)}` : duration(ns);
}
