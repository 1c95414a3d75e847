import { ALL, expect, open, test } from './tracer';

test('ten thousand requests are in the list, of which few are in the document', async ({ page }) => {
  await open(page, `/requests?${ALL}`);
  const rows = page.getByRole('grid');
  const said = page.locator('.title output');
  const end = async () => {
    await rows.press('End');
    return said.textContent();
  };
  await expect.poll(end, { timeout: 30_000 }).toBe('10\u202f080');
  await rows.press('End');
  await expect(page.locator('.rows .row[aria-rowindex="10080"]')).toBeVisible();
  expect(await page.locator('.rows .row').count()).toBeLessThan(100);
});

test('filters narrow the list and are in the address', async ({ page }) => {
  await open(page, `/requests?${ALL}`);
  await page.keyboard.press('/');
  await page.keyboard.type('GET /ask/{id}');
  await page.keyboard.press('Enter');
  await expect(page.locator('.title output')).toHaveText('864');
  await page.getByLabel('errors only').check();
  await expect(page.locator('.title output')).toHaveText('72');
  await expect(page).toHaveURL(/route=GET.*errors=true/);
  await page.getByLabel('at least').fill('370');
  await page.getByLabel('at least').press('Enter');
  await expect(page.locator('.title output')).not.toHaveText('72');
});

test('the list works by keys alone', async ({ page }) => {
  await open(page, `/requests?${ALL}&order=slowest`);
  const rows = page.getByRole('grid');
  await rows.focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/requests\/\d+/);
  await expect(page.locator('h1')).toContainText('GET /fanout/');
});

test('requests as a list', async ({ page }) => {
  await open(page, `/requests?${ALL}`);
  await expect(page).toHaveScreenshot('requests.png', { clip: { x: 0, y: 0, width: 1280, height: 420 } });
});
