import { expect, test } from '@playwright/test';
import { axisDuration, bytes, clock, count, duration, frame, rate, share, ticks } from '../src/format';
import { parse } from '../src/live';
import { children, foundTime, ofApplication, place } from '../src/parts/flame_tree';
import { boxes } from '../src/parts/lanes';
import type { FlameBox } from '../src/types';

test('figures have three digits and a unit, and what is unknown is no zero', () => {
  expect([0, 7, 1_500, 20_000_000, 999_999_999, 1_680_000_000, 90e9, 7_200e9, null].map(duration)).toEqual([
    '0 s',
    '7 ns',
    '1.50 µs',
    '20.0 ms',
    '1.00 s',
    '1.68 s',
    '1.50 min',
    '2.00 h',
    '?',
  ]);
  expect([duration(-2e6), axisDuration(2e9), axisDuration(400e6), axisDuration(1.5e9)]).toEqual([
    '−2.00 ms',
    '2 s',
    '400 ms',
    '1.5 s',
  ]);
  expect([count(10_080), count(null), bytes(3 * 2 ** 20), bytes(null)]).toEqual([
    '10\u202f080',
    '?',
    '3.00 MiB',
    '?',
  ]);
  expect([share(0, 0), share(1, 1_000), share(1, 12), share(42, 100)]).toEqual([
    '0 %',
    '<1 %',
    '8.3 %',
    '42 %',
  ]);
  expect([rate(0, 1e9), rate(3, 60e9), rate(300, 60e9)]).toEqual(['0/s', '3.00/min', '5.00/s']);
  expect(clock(0, false)).toMatch(/^\d\d:00$/);
});

test('axes have round steps', () => {
  expect(ticks(0, 1_000, 4)).toEqual([0, 250, 500, 750, 1_000]);
  expect(ticks(130, 180, 5)).toEqual([130, 140, 150, 160, 170, 180]);
  expect(ticks(5, 5, 4)).toEqual([]);
});

test('functions are named by their files', () => {
  expect(frame({ function: 'ask', file: '/srv/work.py', line: 31 })).toBe('ask (work.py:31)');
  expect(frame({ function: 'main', file: '/lib/openai/__init__.py', line: 1 })).toBe(
    'main (openai/__init__.py:1)',
  );
  expect(frame({ function: 'main', file: 'a.py', line: null })).toBe('main');
});

test('server-sent events are read', () => {
  expect(parse('event: request\nid: 7\ndata: {"id":"7"}')).toEqual({ event: 'request', data: '{"id":"7"}' });
  expect(parse('data: a\ndata: b')).toEqual({ event: 'message', data: 'a\nb' });
  expect(parse(':')).toBeNull();
});

test('boxes that share a pixel are drawn once', () => {
  const box = (start: number, end: number) => ({ start, end, kind: 'step', tell: '' });
  const many = Array.from({ length: 10_000 }, (_, index) => box(index, index + 1));
  expect(boxes([0, 10_000], 500)(many).length).toBeLessThan(1_100);
  expect(boxes([0, 100], 1_000)([box(10, 30), box(200, 300)])).toEqual([
    { ...box(10, 30), x: 100, width: 200 },
  ]);
});

function box(parent: number | null, name: string, wall_ns: number, is_of_application = false): FlameBox {
  const bucket = name.includes('.') ? name : null;
  const named = bucket ? null : name;
  return {
    parent,
    function: named,
    file: named ? 'a.py' : null,
    line: named ? 1 : null,
    is_of_application,
    bucket,
    vendor: null,
    wall_ns,
  };
}

test('of libraries only what the application called is shown, and time is kept', () => {
  const boxes = [
    box(null, 'run', 90),
    box(0, 'main', 80, true),
    box(1, 'dumps', 50),
    box(2, 'encode', 40),
    box(3, 'hook', 10, true),
    box(null, 'llm.stream', 10),
  ];
  const flame = { requests: 1, of_requests: 1, wall_ns: 100, boxes };
  const shown = ofApplication(flame);
  const named = shown.boxes.map((box) => [box.function ?? box.bucket, box.wall_ns, box.parent]);
  expect(named).toEqual([
    ['run', 10, null],
    ['main', 80, null],
    ['dumps', 50, 1],
    ['hook', 10, 2],
    ['llm.stream', 10, null],
  ]);
  const placed = place(shown, children(shown), null, 1_000);
  expect(placed.filter((box) => box.depth === 0).reduce((sum, box) => sum + box.width, 0)).toBe(1_000);
  expect(foundTime(shown, (box) => box.is_of_application)).toBe(80);
});
