// What lies in a cloud and is named by no record: found, adopted, adopted by a pattern, deleted by its name. Deleting goes
// without JavaScript. HOLDFAST_TEST_OPENSTACK is the state folder of a running lab.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { skip, tool, watching } from '../cloud.mjs';
import { axe, overhang, until, visitor } from '../harness.mjs';

const NAME = `o-${Date.now().toString(36)}`;

describe('orphans of a cloud', { skip }, () => {
  let holdfast, browser, state, v, page, close, cloud, server;
  const main = () => page.locator('main').innerText();

  async function snapshot(name) {
    await until(`${name} to be taken`, 120, async () => (await cloud.nova('POST', `/servers/${server}/action`, { createImage: { name } })).status === 202);
    await until(`${name} to be there`, 120, async () => (await images(name))[0]?.status === 'active');
  }
  const images = async (name) => (await cloud.glance('GET', `/images?name=${name}`)).body.images;

  before(async () => {
    cloud = await tool();
    server = await cloud.boot(NAME);
    for (const name of ['snapshot_202001010800', 'snapshot_202001010900', 'tool_202001010800']) await snapshot(`${NAME}_${name}`);
    ({ holdfast, browser, v, page, state, close } = await watching(`${NAME}*`));
  });
  after(async () => {
    await close?.();
    await cloud?.clear(NAME);
  });

  const row = (p, name) => p.getByRole('row').filter({ hasText: `${NAME}_${name}` });

  test('what fits a pattern and has no record is listed, and adopted on its own', async () => {
    await until('the orphans to be found', 120, async () => {
      await page.goto(`${holdfast.url}/repositories/lab`);
      return (await row(page, 'snapshot_202001010800').count()) > 0;
    });
    assert.match(await row(page, 'snapshot_202001010800').innerText(), /fits a pattern/);
    assert.equal(await row(page, 'tool_202001010800').count(), 0, 'what nothing here names is nobody’s orphan');
    assert.deepEqual(await axe(page), []);
    await row(page, 'snapshot_202001010800').getByRole('button', { name: /^Adopt/ }).click();
    await page.waitForURL(/\/snapshots\//);
    assert.match(await main(), new RegExp(`${NAME}_snapshot_202001010800`));
  });

  test('all that fit another pattern are shown first', async () => {
    await page.goto(`${holdfast.url}/services/vms/instances`);
    await page.getByRole('link', { name: 'Adopt existing snapshots' }).click();
    await page.waitForURL(/\/services\/vms\/adopt/);
    await page.getByLabel('pattern').fill('{1}');
    await page.getByRole('button', { name: 'Show what fits' }).click();
    await page.getByText(/The pattern has no \{0\}/).waitFor();
    await page.getByLabel('pattern').fill('{0}_tool_{1}');
    await page.getByRole('button', { name: 'Show what fits' }).click();
    await row(page, 'tool_202001010800').waitFor();
    assert.deepEqual(await axe(page), []);
    await page.setViewportSize({ width: 390, height: 800 });
    assert.ok((await overhang(page)) <= 0, 'the page is wider than a phone');
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.getByRole('button', { name: 'Adopt 1 snapshot' }).click();
    await page.waitForURL(/\/services\/vms\/instances/);
    const found = await (await page.request.get(`${holdfast.url}/api/v1/services/vms/sources/instances/instances/${NAME}`)).json();
    assert.deepEqual(found.list.map((s) => s.state), ['adopted', 'adopted']);
  });

  test('without JavaScript one is deleted by its name, and nothing else is', async () => {
    const p = (await visitor(browser, { state, js: false })).page;
    const name = `${NAME}_snapshot_202001010900`;
    const remove = async (typed) => {
      await p.goto(`${holdfast.url}/repositories/lab`);
      await row(p, 'snapshot_202001010900').getByRole('link', { name: /^Delete/ }).click();
      await p.locator('dialog:target [name=name]').fill(typed);
      await p.locator('dialog:target [name=reason]').fill('left by a trial');
      await p.locator('dialog:target').getByRole('button', { name: 'Delete it' }).click();
    };
    await remove(`${name}x`);
    await p.getByText(/type the name of what is to be deleted/).waitFor();
    assert.equal((await images(name)).length, 1);
    await remove(name);
    await until('it to be deleted', 120, async () => (await images(name)).length === 0);
    await until('the list to say so', 120, async () => {
      await p.goto(`${holdfast.url}/repositories/lab`);
      return (await row(p, 'snapshot_202001010900').count()) === 0;
    });
    assert.equal((await images(`${NAME}_snapshot_202001010800`)).length, 1);
  });

  test('nothing complained', () => assert.deepEqual(v.complaints, []));
});
