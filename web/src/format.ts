/** Figures as people read them: three digits, and always a unit. */

const DURATIONS: [number, string][] = [
  [86_400e9, 'd'],
  [3_600e9, 'h'],
  [60e9, 'min'],
  [1e9, 's'],
  [1e6, 'ms'],
  [1e3, 'µs'],
  [1, 'ns'],
];

function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** `1.70 s`; `?` where it is not known. */
export function duration(ns: number | null | undefined): string {
  if (ns === null || ns === undefined) return '?';
  if (ns === 0) return '0 s';
  const size = Math.abs(ns);
  const [unit, name] = DURATIONS.find(([unit]) => size >= unit * 0.9995) ?? [1, 'ns'];
  return `${ns < 0 ? '−' : ''}${name === 'ns' ? Math.round(size) : digits(size / unit)} ${name}`;
}

/** `400 ms`, of an axis: without zeros behind the point. */
export function axisDuration(ns: number): string {
  return duration(ns).replace(/(\.\d*?)0+ /, (_, kept) => (kept === '.' ? ' ' : `${kept} `));
}

/** `10 080` */
export function count(number: number | null | undefined): string {
  if (number === null || number === undefined) return '?';
  return number.toLocaleString('en').replaceAll(',', '\u202f');
}

/** `42 %` of a whole; nothing of nothing. */
export function share(part: number, whole: number): string {
  if (whole <= 0) return '0 %';
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 1) return '<1 %';
  return `${percent.toFixed(percent < 10 && percent % 1 !== 0 ? 1 : 0)} %`;
}

/** `2.80/s`, of what happened within a time. */
export function rate(number: number, withinNs: number): string {
  if (withinNs <= 0) return '?';
  const perSecond = (number * 1e9) / withinNs;
  if (perSecond === 0) return '0/s';
  return perSecond >= 0.1 ? `${digits(perSecond)}/s` : `${digits(perSecond * 60)}/min`;
}

const BYTES: [number, string][] = [
  [2 ** 30, 'GiB'],
  [2 ** 20, 'MiB'],
  [2 ** 10, 'KiB'],
];

export function bytes(number: number | null | undefined): string {
  if (number === null || number === undefined) return '?';
  const unit = BYTES.find(([unit]) => number >= unit);
  return unit ? `${digits(number / unit[0])} ${unit[1]}` : `${number} B`;
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}

/** `10:32:07`, in the browser's time zone. */
export function clock(unixNs: number, withSeconds = true): string {
  const date = new Date(unixNs / 1e6);
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return withSeconds ? `${minutes}:${two(date.getSeconds())}` : minutes;
}

/** `2026-01-05 10:32:07` */
export function moment(unixNs: number): string {
  const date = new Date(unixNs / 1e6);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(unixNs)}`;
}

/** `ask (work.py:31)` */
export function frame(frame: { function: string; file: string; line: number | null }): string {
  const names = frame.file.split('/');
  let file = names.at(-1) ?? frame.file;
  if ((file === '__init__.py' || file === '__main__.py') && names.length > 1)
    file = `${names.at(-2)}/${file}`;
  return frame.line === null ? frame.function : `${frame.function} (${file}:${frame.line})`;
}

/** Round steps of an axis: about so many up to the largest. */
export function ticks(from: number, to: number, about: number): number[] {
  const rough = (to - from) / Math.max(1, about);
  if (!(rough > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((step) => step >= rough) ?? rough;
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.floor(to / step) - first + 1 }, (_, index) => (first + index) * step);
}
