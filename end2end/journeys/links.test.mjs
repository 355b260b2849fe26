// A read-only link as an auditor from outside meets it: made by an admin, opened by a button in another browser, evidence
// alone, nothing to change, over at once when it is revoked. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'read-only links, with JavaScript' : 'read-only links, without JavaScript', () => {
    let holdfast, browser, v, page, close, link, outside;

    const prepare = async (started) => {
      await started.cli('backup', 'notebooks');
      await started.cli('restore-test', 'notebooks', '--sample', '2');
    };
    before(async () => ({ holdfast, browser, v, page, close } = await opened({ js, prepare })));
    after(async () => {
      await outside?.close();
      await close?.();
      assert.deepEqual(v.complaints, []);
    });

    test('an admin makes a link, which is shown once', async () => {
      await page.goto(holdfast.url);
      await page.locator('nav.rail').getByRole('link', { name: 'Read-only links' }).click();
      await page.waitForURL(/\/links$/);
      await page.getByText('No links').waitFor();
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByLabel('For').fill('external audit');
      await page.getByLabel('Days').fill('99');
      await page.getByLabel('Notebooks of the faculty').check();
      await page.getByRole('button', { name: 'Make the link' }).click();
      await page.getByText('Must be from 1 to 90', { exact: true }).waitFor();
      assert.ok(await page.getByLabel('Notebooks of the faculty').isChecked(), 'what was chosen is still there');
      await page.getByLabel('Days').fill('7');
      await page.getByRole('button', { name: 'Make the link' }).click();
      link = await page.locator('code.token').innerText();
      assert.match(link, /\/login\?link=hfg_[0-9a-f]{64}$/);
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
      await page.reload();
      await page.getByRole('rowheader', { name: 'external audit' }).waitFor();
      assert.ok(!(await page.content()).includes('hfg_'), 'it is shown once');
    });

    test('somebody from outside reads the evidence, and finds nothing else', async () => {
      outside = await visitor(browser, { js });
      const guest = outside.page;
      await guest.goto(holdfast.url + new URL(link).pathname + new URL(link).search);
      if (js) assert.deepEqual(await axe(guest), []);
      await guest.getByRole('button', { name: 'Read the evidence' }).click();
      await guest.waitForURL(/\/evidence$/);
      assert.match(await guest.locator('main').innerText(), /Notebooks of the faculty/);
      if (js) assert.deepEqual(await axe(guest), []);
      assert.equal(await overhang(guest), 0);
      assert.equal(await guest.locator('main form[method=post]').count(), 0, 'no control changes anything');
      const ways = await guest.$$eval('main a[href], nav a[href]', (all) => all.map((a) => new URL(a.href).pathname));
      for (const way of ways) assert.match(way, /^\/($|evidence|api\/v1\/evidence)/, `a way leads to ${way}`);
      assert.equal((await guest.goto(`${holdfast.url}/services`)).status(), 403);
    });

    test('revoked, it is over at once', async () => {
      await page.goto(`${holdfast.url}/links`);
      await page.getByText(/^once/).waitFor();
      await page.getByRole('button', { name: 'Revoke external audit' }).click();
      await page.getByText('revoked').waitFor();
      await outside.page.goto(`${holdfast.url}/evidence`);
      assert.match(outside.page.url(), /\/login/);
      await outside.page.goto(holdfast.url + new URL(link).pathname + new URL(link).search);
      await outside.page.getByRole('button', { name: 'Read the evidence' }).click();
      await outside.page.getByText('This link opens nothing').waitFor();
      assert.ok(!holdfast.log().includes('hfg_'), 'the log holds no secret');
    });
  });
}
