// The configuration as an admin meets it: exported, pasted with a mistake, tried, applied, and what came from a file told
// where it is shown and before it is changed. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, session, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'configuration, with JavaScript' : 'configuration, without JavaScript', () => {
    let holdfast, browser, v, page, close, exported;
    const main = () => page.locator('main').innerText();
    const here = () => page.goto(`${holdfast.url}/admin/configuration`);
    const paste = async (text, file = 'site.yaml') => {
      await page.getByLabel('The file', { exact: true }).fill(text);
      await page.getByLabel('Name of the file').fill(file);
      await page.getByRole('button', { name: 'Show what would change' }).click();
    };

    before(async () => ({ holdfast, browser, v, page, close } = await opened({ js })));
    after(async () => {
      await close?.();
      assert.deepEqual(v.complaints, []);
    });

    test('the rail leads to it; what it shows is what export prints, to copy and to download', async () => {
      await page.goto(holdfast.url);
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Configuration' }).click();
      await page.waitForURL(/\/admin\/configuration$/);
      exported = await holdfast.cli('export');
      assert.equal((await page.locator('#configuration').textContent()).trim(), exported.trim());
      const saved = page.waitForEvent('download');
      await page.getByRole('link', { name: 'Download' }).click();
      const file = await saved;
      assert.equal(file.suggestedFilename(), 'holdfast.yaml');
      assert.equal(fs.readFileSync(await file.path(), 'utf8').trim(), exported.trim());
      const copy = page.getByRole('button', { name: 'Copy' });
      if (!js) {
        assert.equal(await copy.isVisible(), false);
        return;
      }
      await v.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: holdfast.url });
      await copy.click();
      await page.getByRole('button', { name: 'Copied' }).waitFor();
      assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trim(), exported.trim());
      assert.deepEqual(await axe(page), []);
    });

    test('a mistake is told with its place, a secret in clear is not shown again', async () => {
      await here();
      await paste('version: 1\nservises: []\n');
      await page.getByText('Unknown key “servises” in the top level; did you mean “services”?').waitFor();
      assert.equal(await page.getByLabel('The file', { exact: true }).inputValue(), 'version: 1\nservises: []\n');
      if (js) assert.deepEqual(await axe(page), []);
      await paste(exported.replace(/password: \{.*\}/, 'password: hunter2-correct-horse'));
      await page.getByText('must not stand in this file').waitFor();
      assert.ok(!(await page.content()).includes('hunter2'));
    });

    test('what would change is shown and not done, then done', async () => {
      await here();
      await paste(exported);
      await page.getByText('Nothing would change').waitFor();
      await paste(exported.replace('rpo: 24h', 'rpo: 12h').replace('jitter: 10m', 'jitter: 5m'));
      await page.getByRole('heading', { name: 'What would change' }).waitFor();
      assert.match(await main(), /rpo\s+24h\s+12h/);
      assert.match(await main(), /jitter\s+10m\s+5m/);
      assert.equal(await holdfast.cli('export'), exported);
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByRole('button', { name: 'Apply it' }).click();
      await page.getByText('The file was applied').waitFor();
      assert.match(await main(), /2 changed\./);
      assert.match(await holdfast.cli('export'), /rpo: 12h/);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('what came from a file says so, and a change of it in a page is warned of', async () => {
      for (const at of ['services/notebooks', 'policies/standard', 'repositories/main', 'schedules/nightly']) {
        await page.goto(`${holdfast.url}/${at}`);
        assert.match(await main(), /From a file: site\.yaml, applied/, at);
      }
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByRole('link', { name: 'Change', exact: true }).click();
      await page.getByText('A change here stands until site.yaml is applied again').waitFor();
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByLabel('Jitter').fill('15m');
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.waitForURL(/\/schedules\/nightly$/);
      assert.doesNotMatch(await main(), /From a file/);
      // The same file again: its value is back, and its name.
      const file = path.join(holdfast.dir, 'site.yaml');
      fs.writeFileSync(file, exported);
      assert.match(await holdfast.cli('apply', '--dry-run', file), /jitter\s+15m → 10m/);
      await holdfast.cli('apply', file);
      await page.reload();
      assert.match(await main(), /From a file: \S+site\.yaml, applied/);
      assert.equal(await holdfast.cli('export'), exported);
    });

    test('light, dark and on a phone', async () => {
      const state = await session(holdfast, browser);
      for (const options of [{}, { dark: true }, { width: 390 }]) {
        const w = await visitor(browser, { js, state, ...options });
        for (const at of ['admin/configuration', 'services/notebooks', 'schedules/nightly', 'schedules/nightly/edit']) {
          await w.page.goto(`${holdfast.url}/${at}`);
          assert.equal(await overhang(w.page), 0, at);
          if (js) assert.deepEqual(await axe(w.page), [], at);
        }
        assert.deepEqual(w.complaints, []);
        await w.close();
      }
    });
  });
}
