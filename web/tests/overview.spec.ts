import { ALL, expect, open, test } from './tracer';

test('the overview tells rates, errors, percentiles and whose the time is, by route', async ({ page }) => {
  await open(page, `/?${ALL}`);
  const tiles = page.locator('.tiles');
  await expect(tiles).toContainText('10 080');
  await expect(tiles).toContainText('p95');
  const chat = page.getByRole('row', { name: 'GET /chat/{id}' });
  await expect(chat).toContainText('0.48/s');
  await expect(page.getByRole('row', { name: 'GET /ask/{id}' })).toContainText('8.3 %');
  await expect(
    page.getByRole('img', { name: /^mean request, by bucket: yours \d+ %, vendor \d+ %/ }),
  ).toBeVisible();
  await expect(page).toHaveScreenshot('overview.png');
});

test('a route is looked at alone, and back leads to all', async ({ page }) => {
  await open(page, `/?${ALL}`);
  await page.getByRole('link', { name: 'GET /chat/{id}' }).click();
  await expect(page.locator('h1')).toHaveText('GET /chat/{id}');
  await expect(page.locator('.tiles')).toContainText('1 728');
  await expect(page).toHaveURL(/route=GET/);
  await page.goBack();
  await expect(page.locator('h1')).toHaveText('all routes');
});

test('a range is drawn with the pointer', async ({ page }) => {
  await open(page, `/?${ALL}`);
  const chart = page.getByRole('img', { name: /^mean request/ });
  const { x, y, width } = (await chart.boundingBox()) ?? { x: 0, y: 0, width: 0 };
  await page.mouse.move(x + width / 2, y + 50);
  await page.mouse.down();
  await page.mouse.move(x + (width * 3) / 4, y + 50);
  await page.mouse.up();
  await expect(page).toHaveURL(/from=17676\d+&to=17676\d+/);
  await expect(page.locator('.tiles')).not.toContainText('10 080');
});
