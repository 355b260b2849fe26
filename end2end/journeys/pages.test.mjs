// Rules that hold on every page, whatever it shows: it answers, keeps the policy, logs no error, is clean for axe in
// light and dark, does not scroll sideways at 390 px, and says the same without JavaScript.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { axe, everyKindOfPage, launch, session, start, sweeps, visitor } from '../harness.mjs';

/// A cloud that nobody answers for: its pages say so, and hold to the same rules. Those of instances need a real one (see `instances`).
async function withCloud(holdfast) {
  const file = path.join(holdfast.dir, 'holdfast.yaml');
  const cloud = `  - { name: away, location: "openstack+http://127.0.0.1:9/v3", auth: password, username: backup, project: machines, password: { file: "${holdfast.dir}/password" } }\n`;
  const service = `  - name: machines
    title: Machines in a cloud
    owner: cloud-ops
    rpo: 24h
    sources:
      - { name: instances, kind: openstack-instance, repository: away }
`;
  const text = fs.readFileSync(file, 'utf8').replace('policies:\n', `${cloud}policies:\n`).replace('schedules:\n', `${service}schedules:\n`);
  fs.writeFileSync(file, text);
  await holdfast.cli('apply', file);
  return ['/repositories', '/repositories/away', '/services/machines', '/services/machines/instances', '/schedules/new?of=machines%2Finstances&instance=web&m=*&h=5&asked=on&max_snapshots=5&checked=1'].map((p) => holdfast.url + p);
}

for (const filled of [true, false]) {
  describe(filled ? 'every page, with data' : 'every page, empty', () => {
    let holdfast, browser, state, pages;

    before(async () => {
      holdfast = await start({ fixture: filled });
      if (filled) {
        await holdfast.cli('backup', 'notebooks');
        await holdfast.cli('restore-test', 'notebooks', '--sample', '2');
      }
      browser = await launch();
      state = await session(holdfast, browser);
      const v = await visitor(browser, { state, js: false });
      pages = await everyKindOfPage(holdfast, v.page);
      await v.close();
      // One page of each kind was found; that of a cloud and of its service are other kinds under the same addresses.
      if (filled) pages.push(...(await withCloud(holdfast)));
    });
    after(async () => {
      await browser?.close();
      await holdfast?.stop();
    });

    test('there are pages', () => {
      const paths = pages.map((p) => new URL(p).pathname);
      for (const p of ['/', '/services', '/people', '/snapshots', '/runs', '/schedules', '/schedules/new', '/ledger', '/tests', '/policies', '/holds', '/notifications', '/workers']) assert.ok(paths.includes(p), `no link leads to ${p}: ${paths}`);
      if (filled) for (const p of [/^\/services\/notebooks$/, /^\/people\/./, /^\/snapshots\/./, /^\/runs\/./, /^\/tests\/./, /^\/restore$/, /^\/schedules\/nightly$/, /^\/schedules\/[^/]+\/edit$/]) assert.ok(paths.some((x) => p.test(x)), `no link leads to ${p}: ${paths}`);
    });
    sweeps(() => ({ holdfast, browser, state, pages }));
  });
}

test('who is not logged in sees the login and nothing else', async () => {
  const holdfast = await start();
  const browser = await launch();
  try {
    const v = await visitor(browser);
    for (const p of ['/', '/services', '/services/notebooks', '/people', '/snapshots', '/runs', '/schedules', '/schedules/nightly', '/ledger', '/tests', '/restore', '/policies', '/holds', '/notifications', '/workers', '/search']) {
      await v.page.goto(holdfast.url + p);
      assert.equal(new URL(v.page.url()).pathname, '/login', p);
    }
    assert.deepEqual(await axe(v.page), []);
    assert.equal(await v.page.getByText('Notebooks of the faculty').count(), 0);
    assert.deepEqual(v.complaints, []);
  } finally {
    await browser.close();
    await holdfast.stop();
  }
});
