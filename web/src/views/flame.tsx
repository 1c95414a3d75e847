import { query, useAnswer } from '../api';
import { count, duration } from '../format';
import { address, adjusted, go, usePlace } from '../location';
import { FlameGraph } from '../parts/flame_graph';
import { ofApplication } from '../parts/flame_tree';
import { Link } from '../parts/link';
import { State } from '../parts/state';
import { asked, useRange } from '../range';
import type { Flame as Data, Overview } from '../types';
import type { ViewProps } from '.';

/** Where the wall time went, by function: of all routes, one, or one request. */
export function Flame({ version }: ViewProps) {
  const range = useRange();
  const place = usePlace();
  const [route, request] = [place.query.get('route'), place.query.get('request')];
  const isWhole = place.query.get('stacks') === 'whole';
  const of = request ? { request } : { ...asked(range), route };
  const answer = useAnswer<Data>(`/flame?${query(of)}`, request ? 0 : version);
  const routes = useAnswer<Overview>(request ? null : `/overview?${query({ ...asked(range), points: 1 })}`);
  const data = answer.data;
  return (
    <>
      <div class="title">
        <h1>flame graph of {request ? `request ${request}` : (route ?? 'all routes')}</h1>
        {request ? (
          <Link to={address(`/requests/${request}`)}>its waterfall</Link>
        ) : (
          <output>{data && told(data)}</output>
        )}
      </div>
      {!request && (
        <nav class="routes" aria-label="Routes">
          <Link to={adjusted({ route: null })} current={route === null}>
            all routes
          </Link>
          {routes.data?.routes.map((of) => (
            <Link key={of.route} to={adjusted({ route: of.route })} current={of.route === route}>
              {of.route}
            </Link>
          ))}
        </nav>
      )}
      <State answer={answer} empty={data?.requests === 0 && 'No request ended in this range.'} />
      {data && data.requests > 0 && (
        <section class="panel">
          <label class="whole">
            <input
              type="checkbox"
              checked={isWhole}
              onChange={(event) =>
                go(adjusted({ stacks: event.currentTarget.checked ? 'whole' : null }), true)
              }
            />
            what libraries call too
          </label>
          <FlameGraph key={`${route} ${request} ${isWhole}`} flame={isWhole ? data : ofApplication(data)} />
        </section>
      )}
    </>
  );
}

function told(flame: Data): string {
  const newest = flame.requests < flame.of_requests ? `the newest ${count(flame.requests)} of ` : '';
  return `${newest}${count(flame.of_requests)} requests, ${duration(flame.wall_ns)} in all`;
}
