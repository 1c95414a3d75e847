import { expect, test } from '@playwright/test';

// `tests/live/page.rs` has the daemon trace a server that 20 requests were sent to, and sends 20 more once the page is open.
test('requests appear as they finish', async ({ page, context }) => {
  const overview = await context.newPage();
  await overview.goto('/');
  await expect(overview.locator('.tiles small').first()).toHaveText('20');
  await page.goto('/requests');
  await expect(page.getByRole('button', { name: 'live' })).toBeVisible();
  await expect(page.locator('.title output')).toHaveText('20');
  console.error('the page is open');
  await expect(page.locator('.title output')).toHaveText('40', { timeout: 30_000 });
  await expect(overview.locator('.tiles small').first()).toHaveText('40', { timeout: 30_000 });
  await page.locator('.rows .row').first().click();
  await expect(page.getByRole('img', { name: /^call 1 to api\.openai\.com/ })).toBeVisible();
  await page.goto('/health');
  await expect(page.getByRole('row', { name: /^requests/ })).toContainText('40');
});
