import { useEffect, useState } from 'preact/hooks';

/** The value of something outside of the components, which says when it changes. */
export function useSyncExternalStore<T>(subscribe: (listener: () => void) => () => void, get: () => T): T {
  const [value, setValue] = useState(get);
  useEffect(() => {
    const update = () => setValue(() => get());
    update();
    return subscribe(update);
  }, []);
  return value;
}
