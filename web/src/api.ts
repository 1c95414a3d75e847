/** Questions to the daemon. The token, where it wants one, is kept for this tab alone. */

import { useEffect, useState } from 'preact/hooks';
import { useSyncExternalStore } from './store';

const TOKEN = 'tracer-token';

export class Refusal extends Error {
  constructor(
    readonly status: number,
    reason: string,
  ) {
    super(reason);
  }
}

let isTokenWanted = false;
let tries = 0;
const listeners = new Set<() => void>();

function tell() {
  for (const listener of listeners) listener();
}

function listen(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether somebody has to give a token, or another one. */
export function useTokenWanted(): boolean {
  return useSyncExternalStore(listen, () => isTokenWanted);
}

export function hasToken(): boolean {
  return sessionStorage.getItem(TOKEN) !== null;
}

export function giveToken(token: string) {
  sessionStorage.setItem(TOKEN, token);
  isTokenWanted = false;
  tries += 1;
  tell();
}

/** The answer to a question below `/api/v1`. */
export async function request(path: string, signal?: AbortSignal): Promise<Response> {
  const token = sessionStorage.getItem(TOKEN);
  const headers: HeadersInit = token === null ? {} : { Authorization: `Bearer ${token}` };
  const response = await fetch(`/api/v1${path}`, { headers, signal: signal ?? null });
  if (response.ok) return response;
  if (response.status === 401) {
    isTokenWanted = true;
    tell();
  }
  const answer = await response.json().catch(() => ({}));
  throw new Refusal(response.status, answer.error ?? `the daemon answered ${response.status}`);
}

export async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, signal);
  return response.json();
}

export interface Answer<T> {
  /** Of the latest question that was answered; that of the one before while the next is asked. */
  data: T | null;
  error: string | null;
  isAsking: boolean;
}

/** Asks, and asks again when the question or `version` changes; nothing where there is no question. */
export function useAnswer<T>(path: string | null, version = 0): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>({ data: null, error: null, isAsking: path !== null });
  const attempt = useSyncExternalStore(listen, () => tries);
  useEffect(() => {
    if (path === null) return setAnswer({ data: null, error: null, isAsking: false });
    const abort = new AbortController();
    setAnswer((before) => ({ ...before, isAsking: true }));
    ask<T>(path, abort.signal).then(
      (data) => setAnswer({ data, error: null, isAsking: false }),
      (error: Error) => {
        if (abort.signal.aborted) return;
        const reason = error instanceof Refusal ? error.message : 'the daemon does not answer';
        setAnswer((before) => ({ ...before, error: reason, isAsking: false }));
      },
    );
    return () => abort.abort();
  }, [path, version, attempt]);
  return answer;
}

/** The query of a question. */
export function query(of: Record<string, string | number | boolean | null | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(of)) {
    if (value !== null && value !== undefined && value !== '' && value !== false)
      query.set(name, String(value));
  }
  return query.toString();
}
