import { useEffect, useState } from 'preact/hooks';
import { query as queryOf, useAnswer } from '../api';
import { sum } from '../buckets';
import { clock, count, duration, moment } from '../format';
import { address, adjusted, go, usePlace } from '../location';
import { Bar } from '../parts/bar';
import { usePages } from '../parts/pages';
import { VirtualList } from '../parts/virtual_list';
import { asked, useRange } from '../range';
import type { Listed, Overview } from '../types';
import type { ViewProps } from '.';

const ROW = 28;

/** The fields that narrow the list, by parameter of the API. */
const FIELDS: [string, string, string][] = [
  ['route', 'route', 'GET /chat/{id}'],
  ['vendor', 'vendor', 'openai'],
  ['model', 'model', 'gpt-5'],
  ['status', 'status', '500'],
  ['min_ms', 'at least', '500 ms'],
  ['pid', 'process', '4711'],
];

/** Every request, page by page. */
export function Requests({ version }: ViewProps) {
  const range = useRange();
  const [isAtTop, setAtTop] = useState(true);
  const [shown, setShown] = useState(version);
  const { query } = usePlace();
  const of = (name: string) => query.get(name);
  const minimum = Number.parseFloat(of('min_ms') ?? '');
  const isDay = range.since === null || ['15m', '1h'].includes(range.since);
  const pages = usePages(
    {
      ...asked(range),
      route: of('route'),
      vendor: of('vendor'),
      model: of('model'),
      status: of('status'),
      pid: of('pid'),
      min_wall_ns: Number.isFinite(minimum) ? String(Math.round(minimum * 1e6)) : null,
      errors: of('errors') === 'true',
      order: of('order'),
    },
    shown,
  );
  // Rows do not move under who reads them.
  useEffect(() => {
    if (isAtTop) setShown(version);
  }, [isAtTop, version]);
  const slowest = pages.requests.reduce((most, request) => Math.max(most, request.wall_ns), 1);
  return (
    <>
      <div class="title">
        <h1>requests</h1>
        <output>
          {count(pages.requests.length)}
          {pages.isComplete ? '' : ' and more'}
          {shown !== version && ', and new ones above: press Home'}
        </output>
      </div>
      <Filters />
      {pages.error !== null && (
        <p class="notice bad" role="alert">
          {pages.error}
        </p>
      )}
      {pages.isComplete && pages.requests.length === 0 && pages.error === null && (
        <p class="empty">No request of this range is as asked for.</p>
      )}
      <VirtualList<Listed>
        label="requests"
        items={pages.requests}
        length={pages.isComplete ? pages.requests.length : -1}
        rowHeight={ROW}
        id={(request) => request.id}
        nearEnd={pages.more}
        atTop={setAtTop}
        open={(request) => go(address(`/requests/${request.id}`))}
        head={
          <>
            <span class="time">start</span>
            <span class="route">route</span>
            <span class="status">status</span>
            <span class="wall">wall time</span>
            <span class="bars">by bucket</span>
            <span class="calls">calls</span>
            <span class="pid">process</span>
          </>
        }
        row={(request) => (
          <>
            <span role="gridcell" class="time">
              {isDay ? clock(request.start_unix_ns) : moment(request.start_unix_ns).slice(5)}
            </span>
            <span role="gridcell" class="route">
              {request.route}
              {!request.complete && (
                <abbr title="Events were lost, or its beginning or end was not seen"> incomplete</abbr>
              )}
            </span>
            <span role="gridcell" class={request.is_error ? 'status bad' : 'status'}>
              {request.status ?? '–'}
            </span>
            <span role="gridcell" class="wall">
              {duration(request.wall_ns)}
            </span>
            <span role="gridcell" class="bars">
              <Bar buckets={request.buckets} whole={Math.max(slowest, sum(request.buckets))} />
            </span>
            <span role="gridcell" class="calls">
              {request.calls}
            </span>
            <span role="gridcell" class="pid">
              {request.pid}
            </span>
          </>
        )}
      />
    </>
  );
}

function Filters() {
  const { query } = usePlace();
  const range = useRange();
  const routes =
    useAnswer<Overview>(`/overview?${queryOf({ ...asked(range), points: 1 })}`).data?.routes ?? [];
  const set = (name: string, value: string | null) => go(adjusted({ [name]: value?.trim() || null }), true);
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      {FIELDS.map(([name, title, example], index) => (
        <label key={name}>
          {title}
          <input
            data-filter={index === 0 ? '' : undefined}
            class={name}
            value={query.get(name) ?? ''}
            placeholder={example}
            list={name === 'route' ? 'routes' : undefined}
            onChange={(event) => set(name, event.currentTarget.value)}
          />
        </label>
      ))}
      <datalist id="routes">
        {routes.map(({ route }) => (
          <option key={route} value={route} />
        ))}
      </datalist>
      <label class="check">
        <input
          type="checkbox"
          checked={query.get('errors') === 'true'}
          onChange={(event) => set('errors', event.currentTarget.checked ? 'true' : null)}
        />
        errors only
      </label>
      <label>
        order
        <select
          value={query.get('order') ?? 'newest'}
          onChange={(event) => set('order', event.currentTarget.value)}
        >
          <option value="newest">newest first</option>
          <option value="slowest">slowest first</option>
        </select>
      </label>
    </form>
  );
}
