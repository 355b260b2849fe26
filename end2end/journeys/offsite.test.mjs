// Offsite copies of instances of a real OpenStack: copied from the snapshot's page, seen as files, brought back as an image.
// With JavaScript for one that boots from its image, without for one that boots from a volume.
// HOLDFAST_TEST_OPENSTACK is the state folder of a running OpenStack; the journey makes its instances there and removes them.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { lab, skip, tool } from '../cloud.mjs';
import { axe, launch, login, overhang, start, until, visitor } from '../harness.mjs';

const NAME = `f-${Date.now().toString(36)}`;
const [WEB, DB] = [`${NAME}-web`, `${NAME}-db`];

const configuration = (dir) => `version: 1
repositories:
  - { name: main, location: "file://${dir}/repository", password: { file: "${dir}/password" } }
  - { name: lab, clouds_file: "${path.join(lab, 'clouds.yaml')}", cloud: lab }
services:
  - name: vms
    title: Virtual machines
    owner: cloud-ops
    rpo: 24h
    rto: 24h
    mtpod: 48h
    sources:
      - { name: instances, kind: openstack-instance, instances: ["${NAME}-*"], repository: lab }
`;

describe('offsite copies of instances', { skip }, () => {
  let holdfast, browser, state, v, page, cloud;
  const pages = new Set();

  before(async () => {
    cloud = await tool();
    await Promise.all([cloud.boot(WEB), cloud.bootFromVolume(DB)]);
    holdfast = await start({ fixture: false });
    fs.writeFileSync(path.join(holdfast.dir, 'password'), `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 });
    const file = path.join(holdfast.dir, 'holdfast.yaml');
    fs.writeFileSync(file, configuration(holdfast.dir));
    await holdfast.cli('apply', file);
    browser = await launch();
    v = await visitor(browser);
    page = v.page;
    await login(holdfast, page);
    state = await v.context.storageState();
    await until('the instances to be listed', 90, async () => {
      await page.goto(`${holdfast.url}/services/vms/instances`);
      return (await page.getByRole('row').filter({ hasText: WEB }).count()) > 0;
    });
  });
  after(async () => {
    await browser?.close();
    await holdfast?.stop();
    await cloud?.clear(NAME);
  });

  /// Waits until the run of this page has ended, on another page: its own moves by itself.
  async function ended(at) {
    await at.waitForURL(/\/runs\//);
    const run = new URL(at.url()).pathname.split('/').pop();
    const address = at.url();
    pages.add(address);
    await at.goto(`${holdfast.url}/policies`);
    await until('the run to end', 300, async () => {
      const { state, failure } = await (await at.request.get(`${holdfast.url}/api/v1/runs/${run}`)).json();
      assert.ok(['queued', 'running', 'succeeded'].includes(state), `${state}: ${JSON.stringify(failure)}`);
      return state === 'succeeded';
    });
    await at.goto(address);
  }

  /// Takes a snapshot, copies it, brings it back; each by its page.
  async function thereAndBack(at, name) {
    const main = () => at.locator('main').innerText();
    await at.goto(`${holdfast.url}/services/vms/instances/instances/${name}`);
    await at.getByRole('link', { name: 'Snapshot now' }).click();
    await at.getByRole('button', { name: 'Take the snapshot' }).click();
    await ended(at);
    await at.locator('main').getByRole('link', { name: new RegExp(`^${name}_snapshot_\\d{12}$`) }).first().click();
    await at.waitForURL(/\/snapshots\//);
    const original = at.url();
    assert.match(await main(), /Offsite copy[\s\S]*It is in its cloud alone/);
    await at.getByLabel('Copy into').selectOption('main');
    await at.getByRole('button', { name: 'Copy offsite' }).click();
    await ended(at);
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
    await ended(at);
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

  const sweep = (name, window, look) => test(name, async () => {
    const w = await visitor(browser, { state, ...window });
    const faults = [];
    for (const url of pages) {
      await w.page.goto(url);
      for (const fault of await look(w.page)) faults.push(`${url.slice(holdfast.url.length)}  ${fault}`);
    }
    await w.close();
    assert.deepEqual([...faults, ...w.complaints], []);
  });
  sweep('light: axe', {}, (p) => axe(p));
  sweep('dark: contrast', { dark: true }, (p) => axe(p, ['color-contrast']));
  sweep('390 px: axe and no scrolling sideways', { width: 390 }, async (p) => [...(await axe(p)), ...((await overhang(p)) > 0 ? [`${await overhang(p)} px too wide`] : [])]);

  test('nothing complained', () => assert.deepEqual(v.complaints, []));
});
