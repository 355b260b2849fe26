// Offsite copies of instances of a real OpenStack: copied from the snapshot's page, seen as files, brought back as an image.
// With JavaScript for one that boots from its image, without for one that boots from a volume.
// HOLDFAST_TEST_OPENSTACK is the state folder of a running OpenStack; the journey makes its instances there and removes them.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ended, skip, tool, watching } from '../cloud.mjs';
import { sweeps, until, visitor } from '../harness.mjs';

const NAME = `f-${Date.now().toString(36)}`;
const [WEB, DB] = [`${NAME}-web`, `${NAME}-db`];

/// A repository of packs, beside the cloud.
const packs = (dir) => {
  fs.writeFileSync(path.join(dir, 'password'), `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 });
  return `  - { name: main, location: "file://${dir}/repository", password: { file: "${dir}/password" } }\n`;
};

describe('offsite copies of instances', { skip }, () => {
  let holdfast, browser, state, v, page, close, cloud;
  const pages = new Set();

  before(async () => {
    cloud = await tool();
    await Promise.all([cloud.boot(WEB), cloud.bootFromVolume(DB)]);
    ({ holdfast, browser, v, page, state, close } = await watching(`${NAME}-*`, packs));
    await until('the instances to be listed', 90, async () => {
      await page.goto(`${holdfast.url}/services/vms/instances`);
      return (await page.getByRole('row').filter({ hasText: WEB }).count()) > 0;
    });
  });
  after(async () => {
    await close?.();
    await cloud?.clear(NAME);
  });

  /// Takes a snapshot, copies it, brings it back; each by its page.
  async function thereAndBack(at, name) {
    const main = () => at.locator('main').innerText();
    await at.goto(`${holdfast.url}/services/vms/instances/instances/${name}`);
    await at.getByRole('link', { name: 'Snapshot now' }).click();
    await at.getByRole('button', { name: 'Take the snapshot' }).click();
    pages.add(await ended(at));
    await at.locator('main').getByRole('link', { name: new RegExp(`^${name}_snapshot_\\d{12}$`) }).first().click();
    await at.waitForURL(/\/snapshots\//);
    const original = at.url();
    assert.match(await main(), /Offsite copy[\s\S]*It is in its cloud alone/);
    await at.getByLabel('Copy into').selectOption('main');
    await at.getByRole('button', { name: 'Copy offsite' }).click();
    pages.add(await ended(at));
    assert.match(await main(), /Copy the disk[\s\S]*Compared\s+by the cloud/);
    await at.goto(original);
    assert.match(await main(), /1 copy/);
    assert.equal(await at.getByRole('button', { name: 'Copy offsite' }).count(), 0, 'there is no other repository');
    pages.add(original);

    await at.locator('section').filter({ has: at.locator('#p-offsite') }).getByRole('link').first().click();
    await at.waitForURL((url) => url.href !== original);
    assert.match(await main(), /disk\.(raw|qcow2)[\s\S]*image\.json/, 'it is files');
    pages.add(at.url());
    await at.getByLabel('Bring back into').selectOption('lab');
    await at.getByRole('button', { name: 'Bring it back' }).click();
    pages.add(await ended(at));
    assert.match(await main(), /Send the disk to the cloud[\s\S]*Compared\s+by the cloud/);
    await at.goto(`${holdfast.url}/services/vms/instances/instances/${name}`);
    assert.match(await main(), /offsite copy, in a repository/);
    assert.match(await main(), /adopted/, 'what came back is one of its snapshots');
    pages.add(at.url());
  }

  test('an image goes there and back', () => thereAndBack(page, WEB));

  test('without JavaScript so does the disk of one that boots from a volume', async () => {
    const plain = await visitor(browser, { state, js: false });
    await thereAndBack(plain.page, DB);
    await plain.close();
    assert.deepEqual(plain.complaints, []);
  });

  sweeps(() => ({ holdfast, browser, state, pages }));

  test('nothing complained', () => assert.deepEqual(v.complaints, []));
});
