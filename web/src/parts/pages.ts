import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, query } from '../api';
import type { Listed, Page } from '../types';

/** Requests on one page: as many as the daemon gives. */
const PAGE = 1_000;

export interface Pages {
  requests: Listed[];
  isComplete: boolean;
  error: string | null;
  /** Asks for more, unless that is being asked or there is no more. */
  more: () => void;
}

/** A list that is asked for page by page, from the start again when the question or `version` changes. */
export function usePages(of: Record<string, string | boolean | null>, version: number): Pages {
  const key = query(of);
  const [state, setState] = useState<{ requests: Listed[]; next: string | null; error: string | null }>({
    requests: [],
    next: '',
    error: null,
  });
  const asking = useRef<AbortController | null>(null);
  const load = async (after: string, before: Listed[]) => {
    asking.current?.abort();
    const abort = new AbortController();
    asking.current = abort;
    try {
      const page = await ask<Page>(`/requests?${query({ ...of, after, limit: PAGE })}`, abort.signal);
      setState({ requests: [...before, ...page.requests], next: page.next, error: null });
    } catch (error) {
      if (!abort.signal.aborted) setState({ requests: before, next: null, error: (error as Error).message });
    } finally {
      if (asking.current === abort) asking.current = null;
    }
  };
  useEffect(() => {
    load('', []);
    return () => asking.current?.abort();
  }, [key, version]);
  const more = () => {
    if (state.next && asking.current === null) load(state.next, state.requests);
  };
  return { requests: state.requests, isComplete: state.next === null, error: state.error, more };
}
