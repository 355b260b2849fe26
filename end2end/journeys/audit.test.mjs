// The audit trail as an auditor meets it: who did what, one thing alone, the chain proven here and away from here, and
// a change behind its back found. Once with JavaScript and once without.

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
  describe(js ? 'audit, with JavaScript' : 'audit, without JavaScript', () => {
    let holdfast, browser, v, page, close;
    const main = () => page.locator('main').innerText();

    before(async () => ({ holdfast, browser, v, page, close } = await opened({ js, prepare: (h) => h.cli('backup', 'notebooks') })));
    after(async () => {
      await close?.();
      assert.deepEqual(v.complaints, []);
    });

    test('the rail leads to it, and each event says who, what and from where', async () => {
      await page.goto(holdfast.url);
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Audit', exact: true }).click();
      await page.waitForURL(/\/audit$/);
      assert.match(await main(), /session\.open/);
      assert.match(await main(), /run\.start\s+run [0-9a-f-]{36}/);
      assert.match(await main(), /shell\s+from shell/);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('what was done to one thing is one click away', async () => {
      await page.goto(`${holdfast.url}/audit?entity=service`);
      await page.getByRole('link', { name: /^service / }).first().click();
      await page.waitForURL(/entity=service&id=/);
      const actions = await page.locator('tbody td:nth-of-type(2) b').allInnerTexts();
      assert.ok(actions.length >= 1 && actions.every((a) => a.startsWith('service.')), actions.join());
      await page.getByLabel('Who').fill('nobody');
      await page.getByRole('button', { name: 'Apply' }).click();
      await page.getByText('Nobody has done that.').waitFor();
      await page.getByRole('link', { name: 'Show all events' }).click();
      await page.waitForURL(/\/audit$/);
      await page.goto(`${holdfast.url}/audit?since=yesterday`);
      await page.getByText('“yesterday” is no day').waitFor();
    });

    test('the chain is proven here, and an export without the database', async () => {
      await page.getByRole('link', { name: 'Verify the chain' }).click();
      await page.getByText('The chain is intact').waitFor();
      if (js) assert.deepEqual(await axe(page), []);
      const saved = page.waitForEvent('download');
      await page.getByRole('link', { name: 'JSON' }).click();
      const file = await (await saved).path();
      const proof = await said(holdfast, 'audit', 'verify', '--file', file);
      assert.match(proof.out, /The audit chain is intact: \d+ events\./);
      const lines = fs.readFileSync(file, 'utf8').trim().split('\n');
      assert.equal(JSON.parse(lines.at(-1)).action, 'audit.export');
      // One letter in one event.
      const other = path.join(holdfast.dir, 'other.jsonl');
      fs.writeFileSync(other, lines.map((l, n) => (n === 2 ? l.replace('"origin":"', '"origin":"x') : l)).join('\n'));
      const bad = await said(holdfast, 'audit', 'verify', '--file', other, '--json');
      assert.deepEqual([bad.code, JSON.parse(bad.out)], [1, { intact: false, events: 2, broken: 'event 3 was changed' }]);
      fs.writeFileSync(other, 'hello\n');
      const nonsense = await said(holdfast, 'audit', 'verify', '--file', other);
      assert.equal(nonsense.code, 2);
      assert.match(nonsense.err, /other\.jsonl:1: is no audit event/);
      const table = page.waitForEvent('download');
      await page.getByRole('link', { name: 'CSV' }).click();
      assert.match(fs.readFileSync(await (await table).path(), 'utf8'), /^seq,id,at,actor,/);
    });

    test('what was changed behind its back is found', async () => {
      assert.throws(() => behind(holdfast, "UPDATE audit_event SET actor = 'somebody else' WHERE seq = 2"), /only ever added to/);
      behind(holdfast, 'DROP TRIGGER audit_event_is_not_changed', "UPDATE audit_event SET actor = 'somebody else' WHERE seq = 2");
      await page.goto(`${holdfast.url}/audit`);
      await page.getByRole('link', { name: 'Verify the chain' }).click();
      await page.getByText('The chain is broken').waitFor();
      assert.match(await main(), /Event 2 was changed\. The 1 events? before it/);
      assert.equal((await said(holdfast, 'audit', 'verify')).code, 1);
    });

    test('light, dark and on a phone', async () => {
      const state = await session(holdfast, browser);
      for (const options of [{}, { dark: true }, { width: 390 }]) {
        const w = await visitor(browser, { js, state, ...options });
        await w.page.goto(`${holdfast.url}/audit?verify=1`);
        assert.equal(await overhang(w.page), 0);
        if (js) assert.deepEqual(await axe(w.page), []);
        assert.deepEqual(w.complaints, []);
        await w.close();
      }
    });
  });
}
