// Tokens as a person makes them for a program: shown once, good for what was named, gone when revoked.
// Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, session, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'account, with JavaScript' : 'account, without JavaScript', () => {
    let holdfast, browser, v, page, close, token;
    const ask = (path, init = {}) => fetch(`${holdfast.url}/api/v1${path}`, { ...init, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } });

    before(async () => ({ holdfast, browser, v, page, close } = await opened({ js })));
    after(async () => {
      await close?.();
      assert.deepEqual(v.complaints, []);
    });

    test('a token is made and shown once', async () => {
      await page.goto(holdfast.url);
      await page.locator('.menu summary').click();
      await page.getByRole('link', { name: 'Your account and tokens' }).click();
      await page.waitForURL(/\/account$/);
      await page.getByText('No tokens').waitFor();
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByLabel('Name').fill('nightly job');
      await page.getByLabel('Days').fill('7');
      await page.getByLabel('Start and stop backups, checks and restore tests').check();
      await page.getByRole('button', { name: 'Make the token' }).click();
      token = await page.locator('code.token').innerText();
      assert.match(token, /^hft_[0-9a-f]{64}$/);
      assert.ok(!page.url().includes(token), 'an address holds no secret');
      if (js) assert.deepEqual(await axe(page), []);
      await page.reload();
      await page.getByRole('rowheader', { name: 'nightly job' }).waitFor();
      assert.equal(await page.locator('code.token').count(), 0);
      assert.ok(!(await page.content()).includes(token), 'it is shown once');
    });

    test('a program does with it what was named, and no more', async () => {
      assert.deepEqual((await (await ask('/me')).json()).may, ['read', 'operate']);
      const started = await ask('/runs', { method: 'POST', body: JSON.stringify({ kind: 'backup', service: 'notebooks' }) });
      assert.equal(started.status, 202);
      const refused = await ask('/tokens', { method: 'POST', body: JSON.stringify({ name: 'another', scopes: ['read'] }) });
      assert.equal(refused.status, 403);
      assert.equal((await ask('/audit')).status, 403);
      await page.goto(`${holdfast.url}/audit?action=run.start`);
      await page.getByText('admin by token nightly job').first().waitFor();
    });

    test('what is wrong with the form is said, and a revoked token opens nothing', async () => {
      await page.goto(`${holdfast.url}/account`);
      await page.getByLabel('Name').fill('forever');
      await page.getByLabel('Days').fill('9999');
      await page.getByRole('button', { name: 'Make the token' }).click();
      await page.getByText('Must be from 1 to 366', { exact: true }).waitFor();
      await page.goto(`${holdfast.url}/account`);
      assert.match(await page.locator('section[aria-labelledby=p-tokens] tbody').innerText(), /from 127\.0\.0\.1/);
      await page.getByRole('button', { name: 'Revoke nightly job' }).click();
      await page.getByText('revoked').waitFor();
      const refused = await ask('/me');
      assert.equal(refused.status, 401);
      assert.match((await refused.json()).detail, /unknown, expired or revoked/);
    });

    test('light, dark and on a phone', async () => {
      const state = await session(holdfast, browser);
      for (const options of [{}, { dark: true }, { width: 390 }]) {
        const w = await visitor(browser, { js, state, ...options });
        await w.page.goto(`${holdfast.url}/account`);
        assert.equal(await overhang(w.page), 0);
        if (js) assert.deepEqual(await axe(w.page), []);
        assert.deepEqual(w.complaints, []);
        await w.close();
      }
    });
  });
}
