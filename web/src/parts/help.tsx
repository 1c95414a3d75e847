import { useEffect, useRef } from 'preact/hooks';
import { BUCKETS, colour, NAMES } from '../buckets';
import { KEYS } from '../keys';

/** The keys, and what the buckets mean. */
export function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="help-title">
      <form method="dialog">
        <h2 id="help-title">Keys</h2>
        <button type="submit" aria-label="Close">
          ×
        </button>
      </form>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <h2>Buckets</h2>
      <dl class="keys">
        {NAMES.map((name) => (
          <div key={name}>
            <dt>
              <i class={`swatch ${colour(name)}`} /> {name}
            </dt>
            <dd>{BUCKETS[name]}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  );
}
