/** What is shown is in the address: links can be shared, and back works. */

import { useSyncExternalStore } from './store';

export interface Place {
  path: string;
  query: URLSearchParams;
}

let place = read();
const listeners = new Set<() => void>();

function read(): Place {
  return { path: window.location.pathname, query: new URLSearchParams(window.location.search) };
}

function changed() {
  place = read();
  for (const listener of listeners) listener();
}

window.addEventListener('popstate', changed);

export function usePlace(): Place {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => place,
  );
}

/** Goes to an address of this page; `replaces` where back should not lead here. */
export function go(address: string, replaces = false) {
  if (replaces) window.history.replaceState(null, '', address);
  else window.history.pushState(null, '', address);
  changed();
}

/** What of the address stays from view to view: the range. */
const KEPT = ['since', 'from', 'to'];

/** The address of a view in the same range. */
export function address(
  path: string,
  query: Record<string, string | number | null | undefined> = {},
): string {
  const kept = new URLSearchParams();
  for (const name of KEPT) {
    const value = place.query.get(name);
    if (value !== null) kept.set(name, value);
  }
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === '') kept.delete(name);
    else kept.set(name, String(value));
  }
  const text = kept.toString();
  return text ? `${path}?${text}` : path;
}

/** The address of this view with other parameters; `null` takes one away. */
export function adjusted(query: Record<string, string | number | null>): string {
  const all = Object.fromEntries(place.query);
  return address(place.path, { ...all, ...query });
}
