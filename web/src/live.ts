/** What the daemon tells as it happens, by server-sent events. They are read from `fetch`, for `EventSource` can't bring a token. */

import { useEffect, useState } from 'preact/hooks';
import { request } from './api';

/** Views are drawn anew at most this often. */
const EVERY_MS = 2_000;
const RETRY_MS = 5_000;

export interface Live {
  /** Rises with what is new. */
  version: number;
  state: 'off' | 'connecting' | 'on' | 'lost';
  /** Requests that finished since. */
  requests: number;
  missed: number;
}

export function useLive(isOn: boolean): Live {
  const [live, setLive] = useState<Live>({ version: 0, state: 'off', requests: 0, missed: 0 });
  useEffect(() => {
    if (!isOn) return setLive((live) => ({ ...live, state: 'off' }));
    const abort = new AbortController();
    let isDue = false;
    const timer = setInterval(() => {
      if (!isDue) return;
      isDue = false;
      setLive((live) => ({ ...live, version: live.version + 1 }));
    }, EVERY_MS);
    const heard = ({ event, data }: Message) => {
      isDue = true;
      if (event === 'request') setLive((live) => ({ ...live, requests: live.requests + 1 }));
      if (event === 'missed') {
        const { requests } = JSON.parse(data);
        setLive((live) => ({ ...live, missed: live.missed + requests }));
      }
    };
    follow(abort.signal, heard, (state) => setLive((live) => ({ ...live, state })));
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [isOn]);
  return live;
}

export interface Message {
  event: string;
  data: string;
}

/** Reads events until it is aborted; connects again where they end. */
async function follow(
  signal: AbortSignal,
  heard: (message: Message) => void,
  tell: (state: Live['state']) => void,
) {
  while (!signal.aborted) {
    tell('connecting');
    try {
      const response = await request('/events', signal);
      tell('on');
      if (response.body) await read(response.body, heard);
    } catch {
      // Why it ended makes no difference: it is tried again.
    }
    if (signal.aborted) return;
    tell('lost');
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function read(body: ReadableStream<Uint8Array>, heard: (message: Message) => void) {
  const reader = body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const message = parse(block);
      if (message) heard(message);
    }
  }
}

/** One event; nothing where the block is a comment. */
export function parse(block: string): Message | null {
  const message: Message = { event: 'message', data: '' };
  for (const line of block.split('\n')) {
    const [, name, value] = /^(event|data): ?(.*)$/.exec(line) ?? [];
    if (name === 'event') message.event = value ?? '';
    if (name === 'data') message.data += (message.data ? '\n' : '') + value;
  }
  return message.data ? message : null;
}
