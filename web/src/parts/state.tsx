import type { Answer } from '../api';

/** Why there is nothing to show, where there is nothing. */
export function State<T>({ answer, empty }: { answer: Answer<T>; empty?: string | false | null }) {
  if (answer.error !== null)
    return (
      <p class="notice bad" role="alert">
        {answer.error}
      </p>
    );
  if (answer.data === null) return <p class="quiet">…</p>;
  return empty ? <p class="empty">{empty}</p> : null;
}
