// Evidence as an auditor meets it: gaps first, a test with its signature, a countersignature, a pack that proves itself
// away from here, and a record that was changed behind Holdfast's back. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, session, visitor } from '../harness.mjs';

/// What a command says and how it ends, also where it ends badly.
const said = (holdfast, ...args) => holdfast.cli(...args).then((out) => ({ code: 0, out }), (e) => ({ code: e.code, out: e.stdout, err: e.stderr }));

/// Changes the database behind Holdfast's back.
function behind(holdfast, ...statements) {
  const script = 'import sqlite3,sys\nd = sqlite3.connect(sys.argv[1])\nfor s in sys.argv[2:]: d.execute(s)\nd.commit()';
  execFileSync('python3', ['-c', script, path.join(holdfast.data, 'holdfast.db'), ...statements], { stdio: 'pipe' });
}

for (const js of [true, false]) {
  describe(js ? 'evidence, with JavaScript' : 'evidence, without JavaScript', () => {
    let holdfast, browser, v, page, close;
    const main = () => page.locator('main').innerText();

    before(async () => {
      const prepare = async (h) => {
        await h.cli('backup', 'notebooks');
        await h.cli('restore-test', 'notebooks', '--all');
        // The first key, and the signature of what was recorded without one.
        await h.cli('evidence', 'key');
      };
      ({ holdfast, browser, v, page, close } = await opened({ js, prepare }));
    });
    after(async () => {
      await close?.();
      assert.deepEqual(v.complaints, []);
    });

    test('the rail leads to it, and copies stand apart from restores', async () => {
      await page.goto(holdfast.url);
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Evidence', exact: true }).click();
      await page.waitForURL(/\/evidence$/);
      assert.match(await main(), /A copy exists[\s\S]*A copy proves no restore/);
      assert.match(await main(), /A restore was proven/);
      await page.getByText('The chain is intact').waitFor();
      assert.equal(await page.getByRole('table', { name: 'Evidence, the newest first' }).locator('tbody tr').count(), 1);
      await page.locator('.chip--ok', { hasText: /^valid$/ }).waitFor();
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('a period without a test shows the gap and nothing else', async () => {
      await page.getByLabel('From', { exact: true }).fill('2020-01-01');
      await page.getByLabel('To', { exact: true }).fill('2020-06-30');
      await page.getByRole('button', { name: 'Show' }).click();
      await page.waitForURL(/from=2020-01-01&to=2020-06-30/);
      await page.getByText('No restore test in this period').waitFor();
      assert.match(await main(), /no restore test in the period/);
      await page.goto(`${holdfast.url}/evidence?from=yesterday`);
      await page.getByText('“yesterday” is no day').waitFor();
    });

    test('a report has its signature, and a reviewer adds a word once', async () => {
      await page.goto(`${holdfast.url}/evidence`);
      await page.getByRole('table', { name: 'Evidence, the newest first' }).getByRole('link').first().click();
      await page.waitForURL(/\/tests\//);
      const box = page.locator('section', { has: page.getByRole('heading', { name: 'Signature' }) });
      assert.match(await box.innerText(), /Valid\.[\s\S]*sha256 [0-9a-f]{64}[\s\S]*chain link 1/);
      await box.getByLabel('What you looked at').fill('compared with the ticket');
      await box.getByRole('button', { name: 'Countersign' }).click();
      await page.getByText('compared with the ticket').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Countersign' }).count(), 0);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('the pack is downloaded and proven without the installation', async () => {
      await page.goto(`${holdfast.url}/evidence`);
      await page.getByRole('link', { name: 'Tell its size and sha256' }).click();
      await page.waitForURL(/pack=1/);
      const sha = /sha256\s+([0-9a-f]{64})/.exec(await page.locator('section', { has: page.getByRole('heading', { name: 'Evidence pack' }) }).innerText())[1];
      const saved = page.waitForEvent('download');
      await page.getByRole('link', { name: 'Download the evidence pack' }).click();
      const file = path.join(holdfast.dir, 'pack.zip');
      await (await saved).saveAs(file);
      const { createHash } = await import('node:crypto');
      assert.equal(createHash('sha256').update(fs.readFileSync(file)).digest('hex'), sha, 'what was told is what was downloaded');
      const good = await said(holdfast, 'evidence', 'verify', file);
      assert.match(good.out, /The pack is intact: 1 signed tests, 1 records of keys, 1 countersignatures/);
      const bytes = fs.readFileSync(file);
      // A record's payload: the manifest is signed in the same form.
      const payloads = [...bytes.toString('latin1').matchAll(/"payload":\s*"([A-Za-z0-9+/=]{200,})"/g)];
      const record = payloads.find((m) => Buffer.from(m[1], 'base64').toString().includes('"sequence"'));
      bytes[record.index + 60] ^= 1;
      fs.writeFileSync(file, bytes);
      const bad = await said(holdfast, 'evidence', 'verify', file, '--json');
      assert.equal(bad.code, 1);
      assert.ok(JSON.parse(bad.out).faults.some((f) => f.file.startsWith('envelopes/')), bad.out);
    });

    test('a new key is announced by the old one', async () => {
      await page.goto(`${holdfast.url}/evidence`);
      await page.getByRole('link', { name: 'Make a new key' }).click();
      const dialog = page.getByRole('dialog', { name: 'Make a new signing key?' });
      if (js) assert.deepEqual(await axe(page), []);
      await dialog.getByRole('button', { name: 'Make a new key' }).click();
      await page.getByText('retired').first().waitFor();
      await page.getByText('The chain is intact').waitFor();
      assert.match(await main(), /4 records, each bound to the one before/);
    });

    test('what was changed behind its back is found', async () => {
      assert.throws(() => behind(holdfast, "UPDATE evidence SET payload = replace(payload, 'passed', 'failed') WHERE seq = 1"), /only ever added to/);
      behind(holdfast, 'DROP TRIGGER evidence_is_not_changed', "UPDATE evidence SET payload = replace(payload, 'alice', 'alicf') WHERE seq = 1");
      await page.goto(`${holdfast.url}/evidence`);
      await page.getByText('The chain is broken').waitFor();
      assert.match(await main(), /Record 1 is not as it was signed/);
      await page.locator('.chip--fail', { hasText: 'does not fit' }).waitFor();
      assert.equal((await said(holdfast, 'evidence', 'key')).code, 1);
    });

    test('light, dark and on a phone', async () => {
      const state = await session(holdfast, browser);
      for (const options of [{}, { dark: true }, { width: 390 }]) {
        const w = await visitor(browser, { js, state, ...options });
        await w.page.goto(`${holdfast.url}/evidence?pack=1`);
        assert.equal(await overhang(w.page), 0);
        if (js) assert.deepEqual(await axe(w.page), []);
        assert.deepEqual(w.complaints, []);
        await w.close();
      }
    });
  });
}
