import { colour, ofSide, SIDE_TITLES, SIDES, STACKED, sum } from '../buckets';
import { duration, share } from '../format';
import type { Buckets } from '../types';

/** A request's time, or that of many, by bucket: as wide as it is of `whole`. */
export function Bar({ buckets, whole }: { buckets: Buckets; whole?: number }) {
  const all = sum(buckets);
  const of = whole ?? all;
  if (of <= 0) return null;
  let x = 0;
  const parts = STACKED.flatMap((name) => {
    const width = (100 * (buckets[name] ?? 0)) / of;
    if (width < 0.2) return [];
    x += width;
    return [<rect key={name} class={colour(name)} x={x - width} width={width} height="10" />];
  });
  return (
    <svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label={sides(buckets)}>
      <title>{sides(buckets)}</title>
      {parts}
    </svg>
  );
}

/** `yours 58 %, vendor 42 %` */
export function sides(buckets: Buckets): string {
  const all = sum(buckets);
  const parts = SIDES.map((side) => `${SIDE_TITLES[side]} ${share(ofSide(buckets, side), all)}`);
  return `${parts.join(', ')} of ${duration(all)}`;
}
