import { defineConfig } from '@playwright/test';

// As root and without network, as tests run: no sandbox, and nothing that asks other hosts.
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const LIVE = process.env.TRACER_TEST_LIVE;

export default defineConfig({
  // A daemon that traces is one that a live test started.
  testDir: LIVE ? 'tests/live' : 'tests',
  testIgnore: LIVE ? [] : 'live/**',
  outputDir: process.env.TRACER_TEST_OUTPUT ?? 'test-results',
  snapshotPathTemplate: 'tests/pictures/{arg}{ext}',
  workers: 1,
  reporter: 'list',
  expect: { toHaveScreenshot: { maxDiffPixelRatio: 0.01, animations: 'disabled' } },
  use: {
    ...(LIVE ? { baseURL: LIVE } : {}),
    browserName: 'chromium',
    launchOptions: {
      executablePath: '/usr/bin/chromium',
      args: FLAGS,
      // Pictures have the one font that the tests install.
      env: { ...process.env, FONTCONFIG_FILE: `${import.meta.dirname}/tests/fonts.conf` } as Record<
        string,
        string
      >,
    },
    viewport: { width: 1280, height: 900 },
    timezoneId: 'UTC',
    locale: 'en-GB',
    colorScheme: 'light',
  },
});
