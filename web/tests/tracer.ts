/** The daemon that the tests ask: `tracer serve` of the history that `cargo xtask test web` writes. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect, type Page } from '@playwright/test';

export { expect };

export class Tracer {
  private constructor(
    private readonly process: ChildProcess,
    private readonly folder: string,
    readonly url: string,
  ) {}

  /** Starts it with these options of `[web]` beside its address, and waits until it listens. */
  static async start(options = ''): Promise<Tracer> {
    const folder = mkdtempSync(join(tmpdir(), 'tracer-web-'));
    const config = join(folder, 'tracer.toml');
    writeFileSync(config, `[web]\nlisten = "127.0.0.1:0"\n${options}`);
    const started = spawn(variable('TRACER'), [
      'serve',
      '--config',
      config,
      '--history',
      variable('TRACER_TEST_HISTORY'),
    ]);
    let said = '';
    const url = await new Promise<string>((resolve, reject) => {
      started.stderr.on('data', (text) => {
        said += text;
        const [, url] = /serving .* at (http:\S+)\n/.exec(said) ?? [];
        if (url) resolve(url);
      });
      started.on('exit', () => reject(new Error(`tracer ended: ${said}`)));
    });
    return new Tracer(started, folder, url);
  }

  stop() {
    this.process.kill('SIGTERM');
    rmSync(this.folder, { recursive: true });
  }
}

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests by \`cargo xtask test web\``);
  return value;
}

/** Tests of pages that ask no other host, and about which the browser has nothing to complain of. */
export const test = base.extend<{ watched: undefined }, { tracer: Tracer }>({
  tracer: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright wants one
    async ({}, use) => {
      const tracer = await Tracer.start();
      await use(tracer);
      tracer.stop();
    },
    { scope: 'worker' },
  ],
  baseURL: async ({ tracer }, use) => use(tracer.url),
  watched: [
    async ({ page, tracer }, use) => {
      const found: string[] = [];
      page.on('request', (request) => {
        const isOwn = [tracer.url, 'http://127.0.0.1:'].some((url) => request.url().startsWith(url));
        if (!isOwn) found.push(`asked ${request.url()}`);
      });
      page.on('pageerror', (error) => found.push(error.message));
      page.on('console', (message) => {
        const isWanted = /status of 40[14]/.test(message.text());
        if (message.type() === 'error' && !isWanted) found.push(message.text());
      });
      await use(undefined);
      expect(found).toEqual([]);
    },
    { auto: true },
  ],
});

/** All of the history that the tests look at, in addresses. */
export const ALL = 'from=1767607200&to=1767610800';

/** Opens a view, and waits until it has its data. */
export async function open(page: Page, address: string) {
  await page.goto(address);
  await expect(page.locator('main h1')).toBeVisible();
  await page.waitForLoadState('networkidle');
}
