/** The range that is looked at: so long until now, or from a time to another. */

import { usePlace } from './location';

export interface Range {
  since: string | null;
  /** In whole seconds since the epoch. */
  from: number | null;
  to: number | null;
}

export const SINCE = '1h';
export const CHOICES = ['15m', '1h', '6h', '24h', '7d'];

export function useRange(): Range {
  const { query } = usePlace();
  const seconds = (name: string) => {
    const text = query.get(name);
    return text !== null && /^\d{1,10}$/.test(text) ? Number(text) : null;
  };
  const [from, to] = [seconds('from'), seconds('to')];
  if (from !== null && to !== null && from < to) return { since: null, from, to };
  return { since: query.get('since') ?? SINCE, from: null, to: null };
}

/** As parameters of a question. Their nanoseconds are more than a number holds exactly. */
export function asked(range: Range): Record<string, string> {
  if (range.since !== null) return { since: range.since };
  return { from_unix_ns: `${range.from}000000000`, to_unix_ns: `${range.to}000000000` };
}
