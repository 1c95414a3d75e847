/** Keys that hold in every view. */

import { useEffect } from 'preact/hooks';
import { address, go } from './location';
import { VIEWS } from './views';

export const KEYS: [string, string][] = [
  ['1 … 8', 'views, in the order of the menu'],
  ['/', 'filter'],
  ['↑ ↓ PgUp PgDn Home End', 'in a list, a chart or a flame graph: move'],
  ['Enter', 'open what is selected'],
  ['← →', 'in a chart: move; in a waterfall: earlier, later'],
  ['+ − 0', 'in a waterfall: closer, further, all of it'],
  ['Backspace', 'back'],
  ['Esc', 'close, or leave a field'],
  ['?', 'these keys'],
];

export function useKeys(setHelp: (isOpen: boolean) => void) {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target as HTMLElement;
      const isTyping = target.matches('input, select, textarea');
      if (event.key === 'Escape') {
        setHelp(false);
        if (isTyping) target.blur();
        return;
      }
      if (isTyping) return;
      const view = VIEWS.filter((view) => view.isListed)[Number(event.key) - 1];
      if (event.key === '?') setHelp(true);
      else if (event.key === '/') document.querySelector<HTMLElement>('[data-filter]')?.focus();
      else if (event.key === 'Backspace') window.history.back();
      else if (view) go(address(view.path));
      else return;
      event.preventDefault();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}
