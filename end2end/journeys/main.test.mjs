// The main job as a person does it: log in, back up, watch, look inside, bring one person back, prove it by a restore
// test. Once with JavaScript and once without; both must end with the same bytes on the disk.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { USERS, fingerprint, launch, login, start, until, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'the main job, with JavaScript' : 'the main job, without JavaScript', () => {
    let holdfast, browser, v, page;
    let snapshot;
    const person = USERS[1];

    before(async () => {
      holdfast = await start({ megabytes: js ? 120 : 0 });
      browser = await launch();
      v = await visitor(browser, { js });
      page = v.page;
    });
    after(async () => {
      await browser?.close();
      await holdfast?.stop();
    });

    /// Waits on a run's page for its end. With JavaScript the page must get there by itself.
    async function end(state) {
      assert.match(new URL(page.url()).pathname, /^\/runs\/[0-9a-f-]{36}$/);
      const status = page.locator('#run-status');
      await until(`the run to be ${state}`, 120, async () => {
        const words = await status.textContent().catch(() => '');
        if (/failed|interrupted|cancelled|partial/.test(words) && !words.includes(state)) throw new Error(`the run is ${words}: ${await page.locator('main').innerText()}`);
        if (!js) await page.reload();
        return words.includes(state);
      });
      // A live page loads itself once more when its run has ended; what leaves it before that is interrupted.
      await page.locator('.live-state').waitFor({ state: 'detached' });
      await page.waitForLoadState('load');
    }

    test('the link lets in once', async () => {
      const link = await holdfast.loginLink();
      await login({ loginLink: async () => link }, page);
      assert.equal(new URL(page.url()).pathname, '/');
      const other = await visitor(browser, { js });
      await other.page.goto(link);
      await other.page.locator('main button').first().click();
      await other.page.getByText('did not let you in').waitFor();
      await other.close();
    });

    test('home leads to the service, and the service can be backed up', async () => {
      await page.getByRole('link', { name: 'Services', exact: true }).first().click();
      await page.getByRole('link', { name: 'Notebooks of the faculty' }).first().click();
      assert.equal(new URL(page.url()).pathname, '/services/notebooks');
      await page.getByRole('button', { name: 'Back up now' }).first().click();
      await page.waitForURL(/\/runs\//);
      if (js) {
        await page.locator('.live-state', { hasText: 'live' }).waitFor();
        assert.match(await page.locator('#run-progress').innerText(), /\d/);
      }
      await end('succeeded');
      for (const user of USERS) assert.ok(await page.getByText(user).count(), `${user} is not among the items`);
    });

    test('a snapshot can be looked into, and a file comes out as it went in', async () => {
      await page.goto(`${holdfast.url}/people`);
      await page.getByRole('link', { name: person }).first().click();
      await page.locator('a[href^="/snapshots/"]').first().click();
      snapshot = page.url();
      await page.getByRole('link', { name: 'work', exact: true }).first().click();
      await page.getByText('Übung 1.ipynb').first().waitFor();
      await page.getByRole('link', { name: 'analysis.ipynb' }).first().click();
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).first().click()]);
      assert.deepEqual(fs.readFileSync(await download.path()), fs.readFileSync(path.join(holdfast.dir, 'exports', person, 'work/analysis.ipynb')));
    });

    /// From a snapshot's page through the wizard up to the counts of its preview.
    async function wizard(target, conflict) {
      await page.getByRole('link', { name: 'Restore all of it' }).first().click();
      if (target) {
        await page.locator('input[name=to][value=folder]').check({ force: true });
        await page.locator('#folder').fill(target);
      } else {
        await page.locator('input[name=to][value=inplace]').check({ force: true });
      }
      await page.locator(`input[name=conflict][value=${conflict}]`).check({ force: true });
      await page.getByRole('button', { name: /Continue to the preview|Use these choices/ }).click();
      await page.getByRole('button', { name: 'Make the preview' }).click();
      const counts = page.locator('#preview .meters');
      await page.waitForURL(/run=/);
      // The page looks again by itself until the counts are there.
      await counts.waitFor({ timeout: 60_000 });
      return (await counts.innerText()).replace(/\s+/g, ' ');
    }

    test('one person comes back beside the original, byte by byte', async () => {
      const back = path.join(holdfast.dir, 'back');
      await page.goto(snapshot);
      assert.match(await wizard(back, 'fail'), /Create 5\b.*Replace 0\b/i);
      assert.ok(!fs.existsSync(back), 'the preview has written something');
      await page.getByRole('button', { name: 'Start the restore' }).click();
      await page.waitForURL(/\/runs\//);
      await end('succeeded');
      assert.deepEqual(fingerprint(back), fingerprint(path.join(holdfast.dir, 'exports', person)));
    });

    test('in place, after damage, with the service’s name typed', async () => {
      const home = path.join(holdfast.dir, 'exports', person);
      const whole = fingerprint(home);
      const others = fingerprint(path.join(holdfast.dir, 'exports'));
      fs.rmSync(path.join(home, 'work/analysis.ipynb'));
      fs.writeFileSync(path.join(home, 'data/values.csv'), 'damaged');
      await page.goto(snapshot);
      assert.match(await wizard(null, 'overwrite'), /Create 1\b.*Replace 1\b/i);
      await page.locator('input[name=confirm]').fill('something else');
      await page.getByRole('button', { name: 'Restore in place' }).click();
      await page.locator('[role=alert]').first().waitFor();
      assert.notDeepEqual(fingerprint(home), whole, 'a wrong name must change nothing');
      await page.locator('input[name=confirm]').fill('notebooks');
      await page.getByRole('button', { name: 'Restore in place' }).click();
      await page.waitForURL(/\/runs\//);
      await end('succeeded');
      assert.deepEqual(fingerprint(home), whole);
      assert.deepEqual(fingerprint(path.join(holdfast.dir, 'exports')), others);
    });

    test('a restore test is measured, torn down and reported', async () => {
      await page.goto(`${holdfast.url}/services/notebooks`);
      await page.getByRole('button', { name: 'Run a restore test' }).first().click();
      await page.waitForURL(/\/runs\//);
      await end('succeeded');
      await page.goto(`${holdfast.url}/tests`);
      await page.locator('a[href^="/tests/"]:not([href^="/tests/exercises"])').first().click();
      const report = await page.locator('main').innerText();
      for (const word of [/passed/i, /RTO/, /RPO/, /identical/, /not found|gone/i]) assert.match(report, word);
      const scratch = path.join(holdfast.data, 'scratch');
      assert.deepEqual(fs.existsSync(scratch) ? fs.readdirSync(scratch) : [], []);
    });

    test('nothing went wrong on the way', () => assert.deepEqual(v.complaints, []));
  });
}
