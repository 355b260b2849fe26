// An exercise as people do it: begun from EGI's template, ticked by two of them, with a file, finished with a measured time;
// and a past one that is typed in and stays marked. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { axe, login, opened, overhang, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'exercise, with JavaScript' : 'exercise, without JavaScript', () => {
    let holdfast, browser, v, page, close, address;
    before(async () => ({ holdfast, browser, v, page, close } = await opened({ js })));
    after(() => close?.());

    const steps = () => page.locator('ol.steps > li');
    const main = () => page.locator('main').innerText();

    /// Opens what can be said of a step, unless it is open, and presses a button there.
    async function say(on, n, button, note = '') {
      const step = on.locator('ol.steps > li').nth(n - 1);
      const details = step.locator('details');
      if (!(await details.evaluate((d) => d.open))) await details.locator('summary').click();
      if (note) await step.getByRole('textbox').fill(note);
      await step.getByRole('button', { name: `${button} step ${n}` }).click();
      await on.waitForURL(/\/tests\/exercises\/[0-9a-f-]{36}/);
    }

    test('restore tests lead to exercises, and the template has eight steps', async () => {
      await page.goto(`${holdfast.url}/tests`);
      await page.getByRole('link', { name: 'Exercises by people' }).click();
      await page.getByText('No exercise yet').waitFor();
      await page.getByRole('link', { name: 'Begin an exercise' }).click();
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByLabel('Template', { exact: true }).selectOption('egi-notebooks');
      await page.getByRole('button', { name: 'Begin: the clock runs' }).click();
      await page.waitForURL(/\/tests\/exercises\/[0-9a-f-]{36}/);
      address = page.url();
      assert.equal(await steps().count(), 8);
      assert.match(await main(), /never counts as a restore test/);
    });

    test('steps are ticked, and whoever comes second is told who was first', async () => {
      for (const n of [1, 2, 3, 4, 5]) await say(page, n, 'Done');
      const other = await visitor(browser, { js });
      await login(holdfast, other.page);
      await other.page.goto(address);
      await say(page, 6, 'Done', 'key of the storage');
      await say(other.page, 6, 'Skip', 'no key');
      assert.match(await other.page.getByRole('alert').innerText(), /was first and marked it “done”/);
      await other.close();
      assert.match(await steps().nth(5).innerText(), /key of the storage/);
    });

    test('a failure needs a note', async () => {
      await page.goto(address);
      await say(page, 7, 'Failed');
      assert.match(await page.getByRole('alert').innerText(), /say what failed/);
      await page.goto(address);
      await say(page, 7, 'Begin');
      assert.match(await steps().nth(6).innerText(), /under way/);
      await say(page, 7, 'Done', '75 of 75 users restored');
    });

    test('a log is kept and comes back as a download; a page is not taken', async () => {
      const send = async (name, content) => {
        await page.getByLabel('Of', { exact: true }).selectOption('7');
        await page.getByLabel('File', { exact: true }).setInputFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(content) });
        await page.getByRole('button', { name: 'Add the file' }).click();
        await page.waitForURL(/\/tests\/exercises\/[0-9a-f-]{36}/);
      };
      await send('evil.html', '<script>alert(1)</script>');
      assert.match(await page.getByRole('alert').innerText(), /not what its name says/);
      await page.goto(address);
      await send('recover.log', '75 users');
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'recover.log' }).click()]);
      assert.equal(download.suggestedFilename(), 'recover.log');
      assert.equal(fs.readFileSync(await download.path(), 'utf8'), '75 users');
      if (js) assert.deepEqual(await axe(page), []);
      assert.equal(await overhang(page), 0);
    });

    test('finished, it has a verdict and a time, and nothing can be changed', async () => {
      await page.goto(address);
      await page.getByRole('link', { name: 'Finish' }).click();
      let dialog = page.locator('dialog:visible');
      assert.match(await dialog.innerText(), /One step is not settled yet/);
      await dialog.getByRole('link', { name: 'Not yet' }).click();
      await say(page, 8, 'Skip', 'nobody of them was there');
      await page.getByRole('link', { name: 'Finish' }).click();
      dialog = page.locator('dialog:visible');
      await dialog.getByRole('button', { name: 'Finish the exercise' }).click();
      await page.getByText('passed').first().waitFor();
      assert.equal(await page.locator('ol.steps form').count(), 0);
      assert.equal(await page.getByRole('button', { name: 'Add the file' }).count(), 0);
      await page.goto(`${holdfast.url}/services/notebooks/tests`);
      assert.doesNotMatch(await main(), /Recovery of all users onto a new cluster/);
    });

    test('a past one is typed in, keeps its offsets and stays marked', async () => {
      await page.goto(`${holdfast.url}/tests/exercises/import`);
      const fill = async (started) => {
        await page.getByLabel('Title').fill('Recovery of 2019');
        await page.getByLabel('Started').fill(started);
        await page.getByLabel('Finished').fill('2019-06-06 16:47:18+02:00');
        await page.getByLabel('Users').fill('75');
        await page.getByRole('button', { name: 'Import it' }).click();
      };
      await fill('2019-06-06 16:37:15');
      await page.getByText('write it with its offset').first().waitFor();
      assert.equal(await page.getByLabel('Title').inputValue(), 'Recovery of 2019');
      await fill('2019-06-06 16:37:15+02:00');
      await page.waitForURL(/\/tests\/exercises\/[0-9a-f-]{36}/);
      const words = await main();
      for (const part of ['imported', '10 m 3 s', '75', '2019-06-06 16:37:15+02:00', '2019-06-06 16:47:18+02:00']) assert.ok(words.includes(part), part);
      await page.goto(`${holdfast.url}/tests/exercises`);
      assert.equal(await page.locator('main tbody tr', { hasText: 'imported' }).count(), 1);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('nothing went wrong on the way', () => assert.deepEqual(v.complaints, []));
  });
}
