import { moment } from '../format';
import { adjusted, go } from '../location';
import { CHOICES, type Range } from '../range';

const TITLES: Record<string, string> = {
  '15m': '15 minutes',
  '1h': '1 hour',
  '6h': '6 hours',
  '24h': '24 hours',
  '7d': '7 days',
};

/** Which range the views are of. */
export function RangePicker({ range, isPast }: { range: Range; isPast: boolean }) {
  const choose = (value: string) => {
    if (value !== '') go(adjusted({ since: value, from: null, to: null }));
  };
  const known = range.since !== null && !CHOICES.includes(range.since) ? [range.since] : [];
  return (
    <label class="range">
      <span class="quiet">{isPast ? 'last' : 'since'}</span>
      <select
        aria-label="Range"
        value={range.since ?? ''}
        onChange={(event) => choose(event.currentTarget.value)}
      >
        {range.from !== null && range.to !== null && (
          <option value="">
            {moment(range.from * 1e9)} to {moment(range.to * 1e9)}
          </option>
        )}
        {[...known, ...CHOICES].map((choice) => (
          <option key={choice} value={choice}>
            {TITLES[choice] ?? choice}
          </option>
        ))}
      </select>
    </label>
  );
}
