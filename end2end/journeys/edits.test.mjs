// Two who edit the same thing: the second one is told who was first and what is saved now, keeps what was typed, and
// saves over it knowingly. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'two editors, with JavaScript' : 'two editors, without JavaScript', () => {
    let holdfast, browser, v, page, other, close;

    before(async () => {
      ({ holdfast, browser, v, page, close } = await opened({ js }));
      other = await visitor(browser, { js, width: 390, state: await v.context.storageState() });
      await page.goto(`${holdfast.url}/notifications/channels/new?kind=pagerduty`);
      await page.locator('#f-name').fill('pager');
      await page.locator('#f-secret-routing_key').fill('0123456789abcdef');
      await page.getByRole('button', { name: 'Add the channel' }).click();
      await page.waitForURL((u) => u.pathname === '/notifications');
      await page.goto(`${holdfast.url}/notifications/rules/new`);
      await page.locator('#f-name').fill('everything');
      await page.getByRole('button', { name: 'Save the rule' }).click();
      await page.waitForURL((u) => u.pathname === '/notifications');
    });
    after(async () => {
      await other?.close();
      await close?.();
    });

    test('a rule that somebody else saved meanwhile is shown beside what was typed', async () => {
      const rule = `${holdfast.url}/notifications/rules/everything`;
      await page.goto(rule);
      await other.page.goto(rule);
      await other.page.locator('#f-services').fill('notebooks');
      await other.page.getByRole('button', { name: 'Save the rule' }).click();
      await other.page.waitForURL((u) => u.pathname === '/notifications');

      await page.locator('#f-remind').fill('1d');
      await page.getByRole('button', { name: 'Save the rule' }).click();
      await page.getByText('Somebody else was first').first().waitFor();
      const differ = page.locator('section[aria-labelledby=p-stale]');
      assert.match(await differ.innerText(), /Services\s+notebooks\s+all/);
      assert.match(await differ.innerText(), /Say it again after\s+empty\s+1d/);
      assert.equal(await page.locator('#f-remind').inputValue(), '1d', 'what was typed is there');
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);

      // Knowing what is there, it is saved over it.
      await page.getByRole('button', { name: 'Save the rule' }).click();
      await page.waitForURL((u) => u.pathname === '/notifications');
      await page.goto(rule);
      assert.deepEqual([await page.locator('#f-services').inputValue(), await page.locator('#f-remind').inputValue()], ['', '1d']);
    });

    test('what is refused for another reason keeps what was typed, too', async () => {
      await page.goto(`${holdfast.url}/notifications/rules/everything`);
      await page.locator('#f-services').fill('notebooks');
      await page.locator('#f-remind').fill('soon');
      await page.getByRole('button', { name: 'Save the rule' }).click();
      await page.locator('.field__error').first().waitFor();
      assert.deepEqual([await page.locator('#f-services').inputValue(), await page.locator('#f-remind').inputValue()], ['notebooks', 'soon']);
    });

    test('a name that is taken changes nothing', async () => {
      await page.goto(`${holdfast.url}/notifications/rules/new`);
      await page.locator('#f-name').fill('everything');
      await page.getByRole('button', { name: 'Save the rule' }).click();
      await page.locator('.field__error').first().waitFor();
      assert.match(await page.locator('.field__error').first().innerText(), /is taken/i);
      assert.equal(await page.locator('#f-name').inputValue(), 'everything');
    });

    test('a schedule, too; and what was removed meanwhile is made anew from what was typed', async () => {
      const edit = `${holdfast.url}/schedules/nightly/edit`;
      await page.goto(edit);
      await other.page.goto(edit);
      await other.page.locator('#jitter').fill('20m');
      await other.page.getByRole('button', { name: 'Save the schedule' }).click();
      await other.page.waitForURL((u) => u.pathname === '/schedules/nightly');
      await page.locator('#max').fill('7h');
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.getByText('Somebody else was first').first().waitFor();
      assert.match(await page.locator('section[aria-labelledby=p-stale]').innerText(), /Jitter\s+20m\s+10m/);
      assert.equal(await page.locator('#max').inputValue(), '7h');
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.waitForURL((u) => u.pathname === '/schedules/nightly');

      await page.goto(edit);
      await other.page.goto(`${holdfast.url}/schedules/nightly`);
      await other.page.getByRole('link', { name: 'Remove', exact: true }).click();
      await other.page.getByRole('button', { name: 'Remove the schedule' }).click();
      await other.page.waitForURL((u) => u.pathname === '/schedules');
      await page.locator('#max').fill('8h');
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.waitForURL((u) => u.pathname === '/schedules/new');
      assert.deepEqual([await page.locator('#name').inputValue(), await page.locator('#max').inputValue()], ['nightly', '8h']);
    });

    test('nothing went wrong on the way', () => {
      assert.deepEqual(v.complaints, []);
      assert.deepEqual(other.complaints, []);
    });
  });
}
