// The guard as a person meets it: a home is encrypted, the hold says so, the decision is taken, and the restore page
// proposes the last good snapshot. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { USERS, axe, launch, login, overhang, start, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'holds, with JavaScript' : 'holds, without JavaScript', () => {
    let holdfast, browser, v, page;
    const person = USERS[2];
    const text = (n) => JSON.stringify({ cells: Array.from({ length: 30 }, (_, c) => ({ cell_type: 'code', source: [`x${c} = load(${n}, ${n * 7919 + c})`] })) });

    before(async () => {
      holdfast = await start();
      const home = path.join(holdfast.dir, 'exports', person, 'work');
      for (let n = 0; n < 40; n++) fs.writeFileSync(path.join(home, `n${n}.ipynb`), text(n));
      await holdfast.cli('backup', 'notebooks');
      for (let n = 0; n < 40; n++) fs.writeFileSync(path.join(home, `n${n}.ipynb`), randomBytes(3000));
      await holdfast.cli('backup', 'notebooks');
      browser = await launch();
      v = await visitor(browser, { js });
      page = v.page;
      await login(holdfast, page);
    });
    after(async () => {
      await browser?.close();
      await holdfast?.stop();
    });

    /// Opens the dialog of a decision, says why, and takes it.
    async function decide(button, confirm, why) {
      await page.getByRole('link', { name: button }).first().click();
      const dialog = page.locator('dialog:visible');
      await dialog.getByLabel('Reason').fill(why);
      await dialog.getByRole('button', { name: confirm }).click();
      await page.waitForURL(/\/holds\/[0-9a-f-]{36}/);
    }

    test('home leads to the hold, which says what was measured', async () => {
      await page.goto(holdfast.url);
      // The watchdogs of the server look twice a minute.
      const way = page.getByRole('link', { name: /^Decide/ }).first();
      for (let n = 0; n < 40 && !(await way.count()); n++) {
        await page.waitForTimeout(1500);
        await page.reload();
      }
      await way.click();
      const words = await page.locator('main').innerText();
      assert.match(words, /40 files of 45 .* turned into noise/);
      assert.match(words, /usual.*limit/i);
      if (js) assert.deepEqual(await axe(page), []);
      assert.equal(await overhang(page), 0);
    });

    test('kept, its snapshots are bad and the restore page proposes the one before', async () => {
      await decide(/^Keep/, 'Keep the hold', 'malware on a laptop');
      assert.match(await page.locator('main').innerText(), /Its snapshots since then are bad/);
      await page.goto(`${holdfast.url}/restore?item=${person}`);
      const rows = page.locator('main tbody tr');
      assert.match(await rows.nth(0).innerText(), /bad/);
      assert.match(await rows.nth(1).innerText(), /last good/);
      assert.deepEqual([await rows.nth(0).locator('input').isChecked(), await rows.nth(1).locator('input').isChecked()], [false, true]);
    });

    test('released, it is history', async () => {
      await page.goto(`${holdfast.url}/holds`);
      await decide(/^Release/, 'Release', 'restored and looked through');
      await page.goto(`${holdfast.url}/holds`);
      assert.match(await page.locator('main').innerText(), /No hold stands/);
      await page.getByText('kept, then released').waitFor();
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('a person can hold an item', async () => {
      await page.getByRole('link', { name: 'Place a hold' }).click();
      const dialog = page.locator('dialog:visible');
      await dialog.getByLabel('Item (optional)').fill(person);
      await dialog.getByLabel('Reason').fill('a paper');
      await dialog.getByRole('button', { name: 'Place the hold' }).click();
      await page.waitForURL(/\/holds\/[0-9a-f-]{36}/);
      await page.goto(`${holdfast.url}/people/${person}`);
      await page.getByText('nothing of it is forgotten').waitFor();
    });

    test('nothing went wrong on the way', () => assert.deepEqual(v.complaints, []));
  });
}
