// A schedule as a person makes it: typed wrong, warned, put right with one click, saved, paused, seen in the ledger.
// Once with JavaScript, where the preview follows the keys, and once without, where a button refreshes it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axe, opened, until } from '../harness.mjs';

/// Half a day from now: what is due in this hour would run beside what is looked at.
const HOUR = String((new Date().getUTCHours() + 12) % 24);
const OCLOCK = HOUR.padStart(2, '0');

for (const js of [true, false]) {
  describe(js ? 'schedules, with JavaScript' : 'schedules, without JavaScript', () => {
    let holdfast, v, page, close;
    const type = async (fields) => {
      for (const [name, value] of Object.entries(fields)) await page.locator(`#schedule [name=${name}]`).fill(value);
    };
    const refresh = async () => {
      if (!js) await page.getByRole('button', { name: 'Refresh the preview' }).click();
    };

    before(async () => ({ holdfast, v, page, close } = await opened({ js })));
    after(async () => {
      await close?.();
      assert.deepEqual(v.complaints, []);
    });

    test('sixty runs a day must be meant, and once a day is one click away', async () => {
      await page.goto(`${holdfast.url}/schedules`);
      await page.getByRole('link', { name: 'New schedule' }).click();
      await type({ name: 'morning', of: 'notebooks', m: '*', h: HOUR });
      await refresh();
      await page.getByText(`every minute from ${OCLOCK}:00 to ${OCLOCK}:59, every day: 60 runs a day`).waitFor();
      // What a month of such runs would leave, beside what is probably meant.
      await page.getByText(/As typed: 5\d of 1.800 snapshots kept/).waitFor();
      await page.getByText('As suggested: 30 of 30 snapshots kept').waitFor();
      await page.locator('#kind').selectOption('restore_test');
      await page.getByText('As typed: 5').waitFor({ state: 'hidden' });
      await page.locator('#kind').selectOption('backup');
      if (js) {
        await page.getByText('As typed: 5').waitFor();
        assert.deepEqual(await axe(page), []);
      }
      // Not meant, not confirmed, saved all the same: the form comes back with everything that was typed.
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.getByText('I mean 60 runs a day').waitFor();
      assert.equal(await page.locator('[name=name]').inputValue(), 'morning');
      await page.getByRole('button', { name: `Use 0 ${HOUR} * * *` }).click();
      await page.getByText(`In words: at ${OCLOCK}:00, every day`).waitFor();
      assert.equal(await page.locator('[name=m]').inputValue(), '0');
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.waitForURL(/\/schedules\/morning$/);
      assert.equal(await page.locator('#p-next ~ * tbody tr, section[aria-labelledby=p-next] tbody tr').count(), 10);
    });

    test('sixty runs a day can be meant', async () => {
      await page.goto(`${holdfast.url}/schedules/new`);
      await type({ name: 'often', of: 'notebooks/homes', m: '*', h: HOUR });
      await refresh();
      await page.getByText('I mean 60 runs a day').click();
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.waitForURL(/\/schedules\/often$/);
      await page.getByText('60 runs a day').waitFor();
    });

    test('what is wrong stands beside its field, and nothing typed is lost', async () => {
      await page.goto(`${holdfast.url}/schedules/new`);
      await type({ name: 'nightly', of: 'nobody', m: '61', jitter: 'soon' });
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      for (const words of ['There is no service “nobody”', 'has a minute that is not understood: 61', '“soon” is not a duration']) await page.getByText(words).first().waitFor();
      assert.equal(await page.locator('[name=m]').inputValue(), '61');
      assert.equal(await page.locator('[name=jitter]').inputValue(), 'soon');
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('the preview follows what is typed', async () => {
      await page.goto(`${holdfast.url}/schedules/morning/edit`);
      await page.locator('[name=tz]').selectOption('Europe/Prague');
      await type({ h: '2', m: '30' });
      await refresh();
      await page.getByText('In words: at 02:30, every day').waitFor();
      await page.getByText(/A run at a time that/).first().waitFor();
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.waitForURL(/\/schedules\/morning$/);
      await page.getByText('At 02:30, every day').first().waitFor();
    });

    test('it can be paused with a reason, resumed and removed', async () => {
      await page.getByRole('link', { name: 'Pause' }).click();
      await page.locator('#reason').fill('the storage is being moved');
      await page.getByRole('button', { name: 'Pause it' }).click();
      await page.getByText('the storage is being moved').waitFor();
      await page.getByRole('button', { name: 'Resume' }).click();
      await page.getByRole('link', { name: 'Pause' }).waitFor();
      await page.getByRole('link', { name: 'Remove' }).click();
      await page.getByRole('button', { name: 'Remove the schedule' }).click();
      await page.waitForURL(/\/schedules$/);
      assert.equal(await page.getByRole('link', { name: 'morning', exact: true }).count(), 0);
    });

    test('a tick that is due becomes a run and a row of the ledger', async () => {
      await page.goto(`${holdfast.url}/schedules/new`);
      // Every minute, so that it is due within one.
      await type({ name: 'now', of: 'notebooks', m: '*', h: '*' });
      await refresh();
      await page.getByText('I mean 1440 runs a day').click();
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.waitForURL(/\/schedules\/now$/);
      await until('the ledger to have a row', 90, async () => {
        await page.goto(`${holdfast.url}/ledger?state=succeeded`);
        return (await page.getByRole('link', { name: 'now', exact: true }).count()) > 0;
      });
      await page.locator('a[href^="/runs/"]').first().click();
      await page.getByText('by schedule now').first().waitFor();
    });
  });
}
