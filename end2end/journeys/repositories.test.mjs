// Repositories as a person meets them: growth, checks, keys, locks of others, the tamper test and the recovery kit.
// Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SHOTS, axe, launch, login, overhang, session, start, until, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'repositories, with JavaScript' : 'repositories, without JavaScript', () => {
    let holdfast, browser, v, page, children = [];
    const main = () => page.locator('main').innerText();
    const open = () => page.goto(`${holdfast.url}/repositories/main`);

    before(async () => {
      holdfast = await start();
      const file = path.join(holdfast.dir, 'holdfast.yaml');
      const text = fs.readFileSync(file, 'utf8');
      fs.writeFileSync(file, text.replace(/(password: \{ file: .*\})/, '$1\n    read_all_within: 30d'));
      await holdfast.cli('apply', file);
      await holdfast.cli('backup', 'notebooks');
      browser = await launch();
      v = await visitor(browser, { js });
      page = v.page;
      await login(holdfast, page);
    });
    after(async () => {
      children.forEach((c) => c.kill('SIGKILL'));
      await browser?.close();
      await holdfast?.stop();
      assert.deepEqual(v?.complaints ?? [], []);
    });

    /// Another program at work in the repository: stock restic, which waits for its input and holds a lock.
    async function restic() {
      const child = spawn('restic', ['--no-cache', '-r', path.join(holdfast.dir, 'repository'), '-p', path.join(holdfast.dir, 'password'), 'backup', '--stdin'], { stdio: ['pipe', 'ignore', 'ignore'] });
      children.push(child);
      const locks = path.join(holdfast.dir, 'repository/locks');
      await until('the lock of restic', 20, () => fs.existsSync(locks) && fs.readdirSync(locks).some((name) => /^[0-9a-f]{64}$/.test(name)));
      return child;
    }

    /// Waits until the run of this page has ended, on another page: its own moves by itself.
    async function succeeded(what) {
      const run = new URL(page.url()).pathname.split('/').pop();
      await page.goto(`${holdfast.url}/policies`);
      await until(what, 60, async () => {
        const { state } = await (await page.request.get(`${holdfast.url}/api/v1/runs/${run}`)).json();
        assert.ok(['queued', 'running', 'succeeded'].includes(state), `${what}: ${state}`);
        return state === 'succeeded';
      });
    }

    /// Opens the dialog of the first lock, says why, and clears it.
    async function clear(why) {
      await page.getByRole('link', { name: /^Clear the lock/ }).first().click();
      const dialog = page.locator('dialog:visible');
      await dialog.getByLabel('Reason').fill(why);
      await dialog.getByRole('checkbox').check();
      await dialog.getByRole('button', { name: 'Clear the lock' }).click();
      await page.waitForURL(/\/repositories\/main$/);
    }

    test('the rail leads to the list, and no data is no good news', async () => {
      await page.goto(holdfast.url);
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Repositories' }).click();
      const row = page.locator('main tbody tr').first();
      assert.match(await row.innerText(), /main[\s\S]*never checked[\s\S]*no data[\s\S]*never tested/);
      if (js) assert.deepEqual(await axe(page), []);
      await row.getByRole('link', { name: 'main' }).click();
      await page.waitForURL(/\/repositories\/main$/);
      assert.match(await main(), /Nobody holds a lock/);
      assert.match(await main(), /One measurement so far/);
      assert.match(await main(), /No schedule checks it, so nothing reads it/);
    });

    test('a check of all data is started and shown, and then a snapshot says since when its data is verified', async () => {
      await page.goto(`${holdfast.url}/snapshots`);
      assert.match(await page.locator('main tbody').first().innerText(), /data not read yet/);
      await open();
      await page.getByRole('button', { name: 'Read all data now' }).click();
      await page.waitForURL(/\/runs\//);
      await succeeded('the check');
      await open();
      assert.match(await main(), /no damage[\s\S]*all data was read/);
      assert.match(await main(), /\d+ packs, all were read/);
      await page.goto(`${holdfast.url}/snapshots`);
      assert.match(await page.locator('main tbody').first().innerText(), /data read .* ago|data read now/);
      await page.locator('main tbody .rowlink').first().click();
      assert.match(await main(), /Data verified\s+(now|.*ago)\s*each pack it needs was read then or later/);
    });

    test('growth is a chart with a table of the same', async () => {
      const old = `import sqlite3,sys
d = sqlite3.connect(sys.argv[1]); r, at, size, held, n = d.execute("SELECT repository_id, measured_at, size_bytes, snapshot_bytes, snapshots FROM repository_size").fetchone()
for days in range(1, 60):
    t = at - days * 86400000000
    d.execute("INSERT INTO repository_size VALUES (?, ?, ?, ?, ?, ?)", (r, t - t % 3600000000, t, int(size * (1 - days / 90) + (days % 7) * size / 60), int(held * (1 - days / 90)), n))
d.commit()`;
      execFileSync('python3', ['-c', old, path.join(holdfast.data, 'holdfast.db')]);
      await open();
      const chart = page.getByRole('img', { name: /^Size in \d+ measurements/ });
      await chart.waitFor();
      assert.match(await main(), /\+[\d.]+ .?B in 30 days/);
      await page.getByText('The same as a table').click();
      assert.ok((await page.getByRole('table', { name: 'Size by measurement' }).locator('tbody tr').count()) > 50);
      await page.getByRole('link', { name: '30 days' }).click();
      await page.waitForURL(/days=30/);
      await chart.waitFor();
    });

    test('a lock of another program is shown with its owner and cleared with a reason', async () => {
      const child = await restic();
      await open();
      assert.match(await main(), /process \d+[\s\S]*shared[\s\S]*fresh/);
      if (js) {
        await page.getByRole('link', { name: /^Clear the lock/ }).first().click();
        assert.deepEqual(await axe(page), []);
        await page.getByRole('link', { name: 'Leave it' }).click();
      }
      await clear('the machine was taken away');
      assert.match(await main(), /Nobody holds a lock/);
      child.kill('SIGKILL');
      await once(child, 'exit');

      const gone = await restic();
      gone.kill('SIGKILL');
      await once(gone, 'exit');
      // Another machine may have this one's name, so nobody can know from here that it is gone.
      await open();
      assert.match(await main(), /fresh/);
      await clear('restic crashed, I saw it');
      assert.match(await main(), /Nobody holds a lock/);
    });

    test('the tamper test of a folder says plainly that nothing protects it', async () => {
      await page.getByRole('button', { name: 'Run a tamper test' }).click();
      await page.waitForURL(/\/runs\//);
      const run = page.url();
      await succeeded('the tamper test');
      await page.goto(run);
      assert.match(await main(), /Nothing protects it/);
      await open();
      assert.match(await main(), /not protected[\s\S]*Nothing protects it: whoever holds these credentials can overwrite and delete the backups/);
      assert.match(await main(), /Append-only\s+no/);
    });

    test('it is pruned, and copies of Holdfast itself are made and tested', async () => {
      await open();
      await page.getByRole('button', { name: 'Prune it now' }).click();
      await page.waitForURL(/\/runs\//);
      await succeeded('the prune');
      await open();
      assert.match(await main(), /Pruned\s+(now|.*ago)/);
      assert.match(await main(), /No recovery key was made/);
      await page.getByRole('button', { name: 'Copy now' }).click();
      await page.waitForURL(/\/runs\//);
      await succeeded('the copy');
      await holdfast.cli('installation', 'recovery-key');
      await open();
      assert.match(await main(), /without secrets/);
      await page.getByRole('button', { name: 'Test the newest' }).click();
      await page.waitForURL(/\/runs\//);
      await succeeded('the restore test of Holdfast');
      await open();
      assert.doesNotMatch(await main(), /No recovery key was made/);
      assert.match(await main(), /back after/);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('the recovery kit names commands and items and no password', async () => {
      await page.getByRole('link', { name: 'Open the kit' }).click();
      await page.waitForURL(/\/kit$/);
      const words = await main();
      assert.match(words, /restic snapshots/);
      assert.match(words, /hub-claim-alice/);
      assert.match(words, /the first line of the file .*password/);
      const secret = fs.readFileSync(path.join(holdfast.dir, 'password'), 'utf8').trim();
      const saved = page.waitForEvent('download');
      await page.getByRole('link', { name: 'As text' }).click();
      const text = fs.readFileSync(await (await saved).path(), 'utf8');
      assert.match(text, /RECOVERY KIT OF THE REPOSITORY main/);
      assert.ok(!text.includes(secret) && !words.includes(secret), 'the password is in the kit');
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('light, dark and on a phone: no fault, no scroll sideways', async () => {
      const child = await restic();
      const state = await session(holdfast, browser);
      for (const [name, options] of [['light', {}], ['dark', { dark: true }], ['phone', { width: 390 }]]) {
        const w = await visitor(browser, { js, state, ...options });
        for (const [what, at] of [['list', '/repositories'], ['page', '/repositories/main'], ['kit', '/repositories/main/kit'], ['snapshots', '/snapshots']]) {
          await w.page.goto(holdfast.url + at);
          assert.equal(await overhang(w.page), 0, `${at}, ${name}`);
          if (js) {
            assert.deepEqual(await axe(w.page), [], `${at}, ${name}`);
            fs.mkdirSync(SHOTS, { recursive: true });
            await w.page.screenshot({ path: path.join(SHOTS, `repositories-${what}-${name}.png`), fullPage: true });
          }
        }
        assert.deepEqual(w.complaints, []);
        await w.close();
      }
      child.kill('SIGKILL');
    });
  });
}
