/** The buckets, in the order of reports, and whose they are. */

import type { Buckets } from './types';

export type Side = 'own' | 'vendor' | 'other';

/** Each with when it has the time. */
export const BUCKETS: Record<string, string> = {
  'llm.dns': 'name lookup for an LLM call',
  'llm.connect': 'TCP connect for an LLM call',
  'llm.tls': 'TLS handshake for an LLM call',
  'llm.send': 'request bytes going out to the vendor',
  'llm.first_byte': 'request sent, no byte of the answer has arrived in the kernel',
  'llm.stream': 'between arrivals of the answer’s bytes',
  'llm.backoff': 'sleeping between two attempts of a call',
  'net.other': 'any other network wait',
  client: 'reading from or writing to the caller',
  'python.cpu': 'running Python',
  'python.gc': 'in a garbage collection',
  'python.import': 'in an import',
  'wait.gil': 'ready to run, waiting for the GIL',
  'wait.loop': 'ready to go on, but the event loop is busy with something else',
  'wait.executor': 'handed to a thread pool, not yet picked up',
  'wait.runqueue': 'runnable, not on a CPU',
  'wait.lock': 'waiting for a lock',
  'wait.disk': 'file input and output',
  'wait.sleep': 'sleeping',
  'wait.child': 'waiting for a child process',
  unattributed: 'off CPU for a reason that could not be seen',
};

export const NAMES = Object.keys(BUCKETS);

/** What can be fixed here comes first, at the base of every stack. */
export const SIDES: Side[] = ['own', 'vendor', 'other'];
export const SIDE_TITLES: Record<Side, string> = { own: 'yours', vendor: 'vendor', other: 'other' };

export function side(bucket: string): Side {
  if (bucket.startsWith('llm.')) return 'vendor';
  return bucket.startsWith('python.') || bucket.startsWith('wait.') ? 'own' : 'other';
}

/** The order in which they are stacked. */
export const STACKED = SIDES.flatMap((of) => NAMES.filter((name) => side(name) === of));

/** The class that has a bucket's colour. */
export function colour(bucket: string): string {
  return `b-${bucket.replace('.', '-')}`;
}

export function sum(buckets: Buckets): number {
  return Object.values(buckets).reduce<number>((sum, ns) => sum + (ns ?? 0), 0);
}

export function ofSide(buckets: Buckets, of: Side): number {
  return NAMES.reduce((sum, name) => sum + (side(name) === of ? (buckets[name] ?? 0) : 0), 0);
}

/** Those that have time, the most first. */
export function largest(buckets: Buckets): [string, number][] {
  const known = NAMES.map((name): [string, number] => [name, buckets[name] ?? 0]);
  return known.filter(([, ns]) => ns > 0).sort((one, other) => other[1] - one[1]);
}

/** Those that could not be seen. */
export function unseen(buckets: Buckets): string[] {
  return NAMES.filter((name) => buckets[name] === null);
}
