import type { ComponentChildren } from 'preact';
import { go } from '../location';

/** A link to an address of this page, which is shown without loading it anew unless it is to open elsewhere. */
export function Link(props: {
  to: string;
  children: ComponentChildren;
  class?: string;
  title?: string;
  current?: boolean;
}) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(props.to);
    window.scrollTo(0, 0);
  };
  return (
    <a
      href={props.to}
      class={props.class}
      title={props.title}
      aria-current={props.current ? 'page' : undefined}
      onClick={follow}
    >
      {props.children}
    </a>
  );
}
