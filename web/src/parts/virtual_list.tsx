/** A list of any length, of which only what is seen is in the document. */

import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

/** Rows drawn above and below those that are seen. */
const BEYOND = 8;

interface Props<T> {
  label: string;
  items: T[];
  /** How many there are in all; -1 where that is not known. */
  length: number;
  rowHeight: number;
  id: (item: T) => string;
  row: (item: T) => ComponentChildren;
  open: (item: T) => void;
  /** The end of the list is near. */
  nearEnd: () => void;
  /** Whether the first row is seen and selected. */
  atTop?: (isAtTop: boolean) => void;
  head: ComponentChildren;
}

export function VirtualList<T>(props: Props<T>) {
  const { items, rowHeight } = props;
  const list = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ top: 0, height: 600 });
  const [chosen, setSelected] = useState(0);
  // The list may have become shorter.
  const selected = Math.max(0, Math.min(chosen, items.length - 1));
  const first = Math.max(0, Math.floor(seen.top / rowHeight) - BEYOND);
  const last = Math.min(items.length, Math.ceil((seen.top + seen.height) / rowHeight) + BEYOND);
  const look = () => {
    if (list.current) setSeen({ top: list.current.scrollTop, height: list.current.clientHeight });
  };
  useLayoutEffect(() => {
    look();
    const observer = new ResizeObserver(look);
    if (list.current) observer.observe(list.current);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (last > items.length - 300) props.nearEnd();
  }, [last, items.length]);
  const isAtTop = seen.top === 0 && selected === 0;
  useLayoutEffect(() => props.atTop?.(isAtTop), [isAtTop]);
  const select = (index: number) => {
    const row = Math.min(items.length - 1, Math.max(0, index));
    setSelected(row);
    const element = list.current;
    if (!element) return;
    const [top, bottom] = [row * rowHeight, (row + 1) * rowHeight];
    if (top < element.scrollTop) element.scrollTop = top;
    else if (bottom > element.scrollTop + element.clientHeight)
      element.scrollTop = bottom - element.clientHeight;
  };
  const pressed = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(seen.height / rowHeight) - 1);
    const to = {
      ArrowDown: selected + 1,
      ArrowUp: selected - 1,
      PageDown: selected + page,
      PageUp: selected - page,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    const item = items[selected];
    if (to !== undefined) select(to);
    else if (event.key === 'Enter' && item !== undefined) props.open(item);
    else return;
    event.preventDefault();
  };
  const rows = items.slice(first, last).map((item, index) => {
    const number = first + index;
    return (
      <div
        key={props.id(item)}
        id={`row-${number}`}
        role="row"
        tabIndex={-1}
        aria-rowindex={number + 1}
        aria-selected={number === selected}
        class="row"
        style={{ transform: `translateY(${number * rowHeight}px)`, height: `${rowHeight}px` }}
        onClick={() => {
          setSelected(number);
          props.open(item);
        }}
        onKeyDown={undefined}
      >
        {props.row(item)}
      </div>
    );
  });
  return (
    <div class="list">
      <div class="row head" aria-hidden="true">
        {props.head}
      </div>
      <div
        ref={list}
        class="rows"
        role="grid"
        aria-label={props.label}
        aria-rowcount={props.length}
        aria-activedescendant={items.length > 0 ? `row-${selected}` : undefined}
        tabIndex={0}
        onScroll={look}
        onKeyDown={pressed}
      >
        <div role="rowgroup" style={{ height: `${items.length * rowHeight}px` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}
