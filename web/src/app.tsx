/** The frame around every view: where to go, which range, live or not, light or dark. */

import { useEffect, useState } from 'preact/hooks';
import { useAnswer, useTokenWanted } from './api';
import { useKeys } from './keys';
import { useLive } from './live';
import { address, usePlace } from './location';
import { Help } from './parts/help';
import { Link } from './parts/link';
import { RangePicker } from './parts/range_picker';
import { TokenForm } from './parts/token';
import { useRange } from './range';
import { apply, next, setTheme, theme } from './theme';
import type { Health } from './types';
import { VIEWS, viewOf } from './views';

apply();

export function App() {
  const place = usePlace();
  const range = useRange();
  const view = viewOf(place.path);
  const [isHelp, setHelp] = useState(false);
  const [isPaused, setPaused] = useState(false);
  const [chosen, setChosen] = useState(theme());
  const health = useAnswer<Health>('/health').data;
  const isPast = health !== null && !health.is_tracing;
  const live = useLive(health !== null && !isPast && range.since !== null && !isPaused);
  const isTokenWanted = useTokenWanted();
  useKeys(setHelp);
  useEffect(() => {
    document.title = `${view.title} · tracer`;
  }, [view]);
  const changeTheme = () => {
    setTheme(next(chosen));
    setChosen(theme());
  };
  return (
    <>
      <a class="skip" href="#main">
        Skip to the view
      </a>
      <header>
        <Link class="brand" to={address('/')}>
          tracer
        </Link>
        <nav aria-label="Views">
          {VIEWS.filter((view) => view.isListed).map((listed, index) => (
            <Link
              key={listed.path}
              to={address(listed.path)}
              current={listed.path === view.within}
              title={`${listed.title} (${index + 1})`}
            >
              {listed.title}
            </Link>
          ))}
        </nav>
        <div class="tools">
          <RangePicker range={range} isPast={isPast} />
          {isPast ? (
            <span class="chip" title="Nothing is traced: this is a history that was written before">
              past
            </span>
          ) : (
            <button
              type="button"
              class={`chip live ${live.state}`}
              aria-pressed={!isPaused}
              disabled={range.since === null}
              onClick={() => setPaused(!isPaused)}
              title={range.since === null ? 'This range has an end' : 'Follow what happens'}
            >
              {LIVE[live.state]}
            </button>
          )}
          <button type="button" onClick={changeTheme} title="Colours: as the system has them, light, dark">
            {chosen}
          </button>
          <button type="button" onClick={() => setHelp(true)} title="Keys (?)" aria-label="Keys">
            ?
          </button>
        </div>
      </header>
      {live.missed > 0 && <p class="notice">The page was too slow for {live.missed} requests.</p>}
      {health?.history.trouble && <p class="notice bad">{health.history.trouble}</p>}
      <main id="main" tabIndex={-1}>
        {isTokenWanted ? <TokenForm /> : <view.View version={live.version} />}
      </main>
      {isHelp && <Help close={() => setHelp(false)} />}
    </>
  );
}

const LIVE = { off: 'paused', connecting: 'connecting', on: 'live', lost: 'not connected' };
