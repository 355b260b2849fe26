// The linter as a person meets it: what is wrong with a service's plan, a finding that is waived, a form that is refused,
// and the end of the waiver. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'findings, with JavaScript' : 'findings, without JavaScript', () => {
    let holdfast, v, page, close;
    const at = () => `${holdfast.url}/services/notebooks/findings`;
    const words = () => page.locator('main').innerText();
    const day = (n) => new Date(Date.now() + n * 86400000).toISOString().slice(0, 10);

    before(async () => ({ holdfast, v, page, close } = await opened({ js })));
    after(() => close?.());

    test('a service that was never tested is told so', async () => {
      await page.goto(at());
      assert.match(await words(), /stops the approval: recovery was never tested/i);
      assert.match(await words(), /Run a restore test, do an exercise/);
      if (js) assert.deepEqual(await axe(page), []);
      await page.setViewportSize({ width: 390, height: 844 });
      assert.equal(await overhang(page), 0);
      await page.setViewportSize({ width: 1280, height: 900 });
    });

    test('what is missing in a waiver is said beside its field, and what was typed stays', async () => {
      const found = page.locator('.callout', { hasText: 'recovery was never tested' });
      await found.getByRole('link', { name: /^Waive/ }).click();
      const dialog = page.locator('dialog:visible');
      await dialog.getByLabel('Reason').fill('the first exercise is planned');
      // A browser would refuse such a day itself.
      await dialog.getByLabel('Last day').evaluate((e) => { e.removeAttribute('max'); e.value = '2199-01-01'; });
      await dialog.getByRole('button', { name: 'Waive it' }).click();
      await page.waitForURL(/waive=never-tested/);
      assert.match(await words(), /more than a year away/);
      const form = page.locator('#waive-form');
      assert.equal(await form.getByLabel('Reason').inputValue(), 'the first exercise is planned');
      if (js) assert.deepEqual(await axe(page), []);
      await form.getByLabel('Last day').fill(day(30));
      await form.getByRole('button', { name: 'Waive it' }).click();
      await page.waitForURL(/\/findings$/);
    });

    test('a waived finding is shown as waived', async () => {
      assert.match(await words(), /waived: recovery was never tested/i);
      assert.match(await words(), /Waived by .* until .*: the first exercise is planned/);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('ended, it stands again and the waiver is history', async () => {
      await page.getByRole('link', { name: /^End the waiver/ }).first().click();
      const dialog = page.locator('dialog:visible');
      await dialog.getByLabel('Reason').fill('the exercise was done');
      await dialog.getByRole('button', { name: 'End the waiver' }).click();
      await page.waitForURL(/\/findings$/);
      assert.match(await words(), /stops the approval: recovery was never tested/i);
      assert.match(await words(), /Ended: the exercise was done/);
    });

    test('nothing went wrong on the way', () => assert.deepEqual(v.complaints, []));
  });
}
