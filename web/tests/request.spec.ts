import { ALL, expect, open, test } from './tracer';

/** Of the last round of the capture `demo`: it waits for the event loop for most of its time. */
const WAITING = '/requests/10046';

test('the waterfall shows contexts, calls with their phases, and who delayed whom', async ({ page }) => {
  await open(page, `${WAITING}?${ALL}`);
  const waterfall = page.getByRole('application', { name: /^Waterfall of 1.68 s/ });
  await expect(waterfall.getByRole('img', { name: /^call 1 to api.openai.com, openai, chat/ })).toBeVisible();
  await expect(waterfall.locator('rect.b-wait-loop').first()).toBeVisible();
  await expect(waterfall.getByText('context 3, main thread')).toBeVisible();
  const delayer = page.getByRole('link', { name: /^GET \/blocking\/\{id\}, request 10052/ });
  await expect(page.getByRole('rowheader', { name: /in ask \(work\.py:31\)$/ })).toBeVisible();
  // README.md shows it.
  await expect(page).toHaveScreenshot('waterfall.png', { clip: { x: 0, y: 38, width: 1280, height: 580 } });
  await delayer.click();
  await expect(page.locator('h1')).toHaveText(/^GET \/blocking\//);
});

test('the buckets of a request sum to its wall time', async ({ page, request }) => {
  await open(page, `${WAITING}?${ALL}`);
  const { request: whole } = await (await request.get(`/api/v1${WAITING}`)).json();
  const sum = Object.values<number | null>(whole.buckets).reduce((sum: number, ns) => sum + (ns ?? 0), 0);
  expect(sum).toBe(whole.wall_ns);
  const width = await page
    .locator('.lane .area svg')
    .nth(1)
    .evaluate((lane) => {
      const boxes = [...lane.querySelectorAll('rect')].map((box) => box.getBoundingClientRect());
      const [left, right] = [
        Math.min(...boxes.map((box) => box.left)),
        Math.max(...boxes.map((box) => box.right)),
      ];
      return (right - left) / lane.getBoundingClientRect().width;
    });
  expect(width).toBeCloseTo(1, 2);
});

test('the waterfall zooms by pointer and by keys, and the address has it', async ({ page }) => {
  await open(page, `${WAITING}?${ALL}`);
  const waterfall = page.getByRole('application');
  await waterfall.focus();
  await page.keyboard.press('+');
  await expect(page).toHaveURL(/t=\d+-\d+/);
  await page.keyboard.press('0');
  await expect(page).not.toHaveURL(/t=/);
  const lane = await page.locator('.lane .area').nth(1).boundingBox();
  if (!lane) throw new Error('there is no lane');
  await page.mouse.move(lane.x + 10, lane.y + 4);
  await page.mouse.down();
  await page.mouse.move(lane.x + 200, lane.y + 4);
  await page.mouse.up();
  await expect(page).toHaveURL(/t=\d+-\d+/);
  await page.reload();
  await expect(page.getByRole('button', { name: 'all of it (0)' })).toBeVisible();
});

test('what could not be seen is told with its reason', async ({ page }) => {
  await open(page, `/requests?${ALL}&route=GET /ask/{id}`);
  await page.locator('.rows .row').first().click();
  const row = page.getByRole('row', { name: /python\.gc/ });
  await expect(row).toContainText('? this Python has no USDT points');
});

test('what others wrote is text, whatever it is', async ({ page }) => {
  await open(page, `/requests?${ALL}&errors=true`);
  await page.locator('.rows .row').first().click();
  await expect(page.locator('h1')).toHaveText("GET /ask/<img src=x onerror=document.title='changed'>");
  expect(await page.locator('img').count()).toBe(0);
  await expect(page).toHaveTitle('request · tracer');
});

test('a request that is gone is told', async ({ page }) => {
  await page.goto('/requests/99999999');
  await expect(page.getByRole('alert')).toContainText('no such request');
});
