import { ALL, expect, open, test } from './tracer';

/** The second half hour, in which one route is slower. */
const LATER = 'from=1767609000&to=1767610800';

test('vendors are told with first byte, first content, tokens, errors and retries', async ({ page }) => {
  await open(page, `/vendors?${ALL}`);
  const openai = page.getByRole('row', { name: /openai api\.openai\.com ttft=100-400,gap=20/ });
  await expect(openai).toContainText('2 880');
  await expect(openai).toContainText('/s');
  await expect(page.locator('main')).toHaveScreenshot('vendors.png');
  await openai.getByRole('link', { name: 'openai' }).click();
  await expect(page).toHaveURL(/\/requests\?.*vendor=openai/);
});

test('findings have their cost, evidence and what to do, and lead to the requests', async ({ page }) => {
  await open(page, `/findings?${ALL}`);
  const sides = page.getByRole('heading', { level: 2 });
  await expect(sides).toHaveText(['yours to fix', 'the vendor’s']);
  const first = page.getByRole('listitem').first();
  await expect(first.getByRole('heading')).toContainText('event loop');
  await expect(first).toContainText('held up');
  await expect(first).toContainText('ask (work.py:31)');
  await expect(first.locator('.advice')).toContainText('AsyncOpenAI');
  await expect(first).toHaveScreenshot('finding.png');
  await first.getByRole('link', { name: 'its slowest requests' }).click();
  await expect(page).toHaveURL(/order=slowest/);
});

test('processes tell what is unknown, and why', async ({ page }) => {
  await open(page, `/processes?${ALL}`);
  await expect(page.getByRole('row', { name: /uvicorn chat:app/ })).toContainText('nothing');
  await expect(page.getByRole('row', { name: /flask_app/ }).first()).toContainText(
    'python.gc, python.import: this Python has no USDT points',
  );
});

test('the health of the tracer says that nothing is traced where a history is shown', async ({ page }) => {
  await open(page, '/health');
  await expect(page.getByText('Nothing is traced: a history is shown that ends at 2026-01-05')).toBeVisible();
  await expect(page.getByRole('row', { name: 'memory' })).toContainText('MiB');
  await expect(page.getByText('Nothing was lost.')).toBeVisible();
});

test('the flame graph of a route sums to its wall time, opens a box and finds functions', async ({
  page,
  request,
}) => {
  await open(page, `/flame?${ALL}&route=GET /cpu/{id}`);
  const graph = page.getByRole('img', { name: /^Flame graph of .* min:/ });
  await expect(graph).toBeVisible();
  const answer = await request.get(
    '/api/v1/flame?from_unix_ns=1767607200000000000&to_unix_ns=1767610800000000000&route=GET /cpu/{id}',
  );
  const flame = await answer.json();
  const roots = flame.boxes.filter((box: { parent: number | null }) => box.parent === null);
  const sum = roots.reduce((sum: number, box: { wall_ns: number }) => sum + box.wall_ns, 0);
  expect(sum / flame.wall_ns).toBeGreaterThan(0.99);
  await expect(page.locator('main')).toHaveScreenshot('flame.png');
  await page.getByLabel('find').fill('burn');
  await expect(page.locator('.told output')).toHaveText(/^[1-9].*, [1-9].* %, are in what is found$/);
  await graph.focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('button', { name: 'all of it (Esc)' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'all of it (Esc)' })).toBeHidden();
});

test('a request has a flame graph of its own', async ({ page }) => {
  await open(page, `/requests/10046?${ALL}`);
  await page.getByRole('link', { name: 'its flame graph' }).click();
  await expect(page.getByRole('img', { name: /^Flame graph of 1\.68 s/ })).toBeVisible();
});

test('two ranges are compared, and the route that became slower is told', async ({ page }) => {
  test.slow();
  await open(page, `/compare?${LATER}`);
  const chat = page.getByRole('table', { name: /^GET \/chat\/\{id\}/ });
  await expect(chat.getByRole('row', { name: 'wall time, p50' })).toContainText('longer', {
    timeout: 60_000,
  });
  await expect(chat.getByRole('row', { name: /llm\.first_byte, p50/ })).toContainText('longer');
  const other = page.getByRole('table', { name: /^GET \/wait\/\{id\}/ });
  await expect(other.getByRole('row', { name: 'wall time, p50' })).not.toContainText('longer');
  await expect(chat).toHaveScreenshot('comparison.png');
});

test('at the width of a phone nothing is wider than the screen', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const view of [
    '',
    'requests',
    'flame',
    'vendors',
    'findings',
    'processes',
    'health',
    'requests/10046',
  ]) {
    await open(page, `/${view}?${ALL}`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width, view).toBeLessThanOrEqual(390);
  }
  await expect(page).toHaveScreenshot('waterfall-phone.png');
});
