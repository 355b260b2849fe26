// Who is who: two folders of one human become one person and two again, and what is nobody's is given to somebody. Once
// with JavaScript and once without.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, session, USERS, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'who is who, with JavaScript' : 'who is who, without JavaScript', () => {
    let holdfast, browser, v, page, close;
    const [alice, , carla] = USERS;
    const at = (name) => `${holdfast.url}/people/${encodeURIComponent(name)}`;
    const named = () => page.locator('section[aria-labelledby=p-names]');
    const kept = async () => (await page.locator('section[aria-labelledby=p-kept] tbody tr').count());

    /// A second service whose only folder is backed up as a whole, so that it is nobody's.
    const prepare = async (started) => {
      const wiki = path.join(started.dir, 'wiki');
      fs.mkdirSync(wiki);
      fs.writeFileSync(path.join(wiki, 'start.md'), '# Start\n');
      const file = path.join(started.dir, 'holdfast.yaml');
      const service = `  - name: wiki\n    owner: ops\n    sources:\n      - { name: pages, kind: directory, path: "${wiki}", items: self, repository: main }\n`;
      fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('schedules:\n', `${service}schedules:\n`));
      await started.cli('apply', file);
      await started.cli('backup', 'notebooks');
      await started.cli('backup', 'wiki');
    };
    before(async () => ({ holdfast, browser, v, page, close } = await opened({ js, prepare })));
    after(async () => {
      await close?.();
      assert.deepEqual(v.complaints, []);
    });

    test('two folders become one person, under either name', async () => {
      await page.goto(at(alice));
      assert.equal(await kept(), 1);
      await page.getByLabel('Items are also theirs under the name').fill(carla);
      await page.getByRole('button', { name: 'Add' }).click();
      await named().getByText('further name, by').waitFor();
      assert.equal(await kept(), 2);
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
      await page.goto(at(carla));
      assert.match(await page.locator('h1').innerText(), new RegExp(alice));
      await page.goto(`${holdfast.url}/people`);
      assert.match(await page.locator('main [role=status]').innerText(), /4 people\./);
    });

    test('the next backup keeps to it', async () => {
      fs.writeFileSync(path.join(holdfast.dir, 'exports', carla, 'new.txt'), 'new');
      await holdfast.cli('backup', 'notebooks');
      await page.goto(at(alice));
      assert.equal(await kept(), 2);
      await page.goto(`${holdfast.url}/people`);
      assert.match(await page.locator('main [role=status]').innerText(), /4 people\./);
    });

    test('what cannot be is refused beside the form', async () => {
      await page.goto(at(alice));
      await page.getByLabel('Items are also theirs under the name').fill(alice);
      await page.getByRole('button', { name: 'Add' }).click();
      await page.getByText('is their own name').waitFor();
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('taken away, they are two again', async () => {
      await page.goto(at(alice));
      await page.getByRole('button', { name: `Take away ${carla}` }).click();
      await named().getByText('further name, by').waitFor({ state: 'detached' });
      assert.equal(await kept(), 1);
      await page.goto(at(carla));
      assert.equal(await kept(), 1);
    });

    test('what is nobody\'s is listed and given to somebody', async () => {
      await page.goto(`${holdfast.url}/people`);
      await page.getByRole('link', { name: '1 item belongs to nobody' }).click();
      await page.waitForURL(/\/unattributed$/);
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByLabel(/^Whose/).fill('stranger');
      await page.getByRole('button', { name: /^Give/ }).click();
      await page.getByText('There is no person “stranger”').waitFor();
      const field = page.getByLabel(/^Whose/);
      await field.fill(alice);
      await page.getByRole('button', { name: /^Give/ }).click();
      await page.getByText('Everything is somebody\'s').waitFor();
      await page.goto(at(alice));
      assert.equal(await kept(), 2);
    });

    test('light, dark and on a phone', async () => {
      const state = await session(holdfast, browser);
      for (const options of [{}, { dark: true }, { width: 390 }]) {
        const w = await visitor(browser, { js, state, ...options });
        for (const address of [at(alice), `${holdfast.url}/unattributed`, `${holdfast.url}/people`, `${holdfast.url}/access`]) {
          await w.page.goto(address);
          assert.equal(await overhang(w.page), 0, address);
          if (js) assert.deepEqual(await axe(w.page), [], address);
        }
        assert.deepEqual(w.complaints, []);
        await w.close();
      }
    });
  });
}
