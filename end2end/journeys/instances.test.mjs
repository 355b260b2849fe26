// Instances of a real OpenStack as a person meets them: listed, scheduled with a warning, snapshotted at once, seen with
// their parts, cloned, brought back in place. One boots from its image, one from a volume; with and without JavaScript.
// HOLDFAST_TEST_OPENSTACK is the state folder of a running OpenStack; the journey makes its instances there and removes them.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { disk, ended, skip, tool, volumeFile, watching } from '../cloud.mjs';
import { axe, sweeps, until, visitor } from '../harness.mjs';

const NAME = `w-${Date.now().toString(36)}`;
const [WEB, DB] = [`${NAME}-web`, `${NAME}-db`];

describe('instances of a cloud', { skip }, () => {
  let holdfast, browser, state, v, page, close, cloud, web, db;
  const list = () => `${holdfast.url}/services/vms/instances`;
  const instance = (name) => `${list()}/instances/${name}`;
  const main = () => page.locator('main').innerText();
  const pages = new Set();

  before(async () => {
    cloud = await tool();
    [web, db] = await Promise.all([cloud.boot(WEB), cloud.bootFromVolume(DB)]);
    ({ holdfast, browser, v, page, state, close } = await watching(`${NAME}-*`));
  });
  after(async () => {
    await close?.();
    await cloud?.clear(NAME);
  });

  test('the cloud is looked at, and says what Holdfast is let in with', async () => {
    await until('the credential to be looked at', 90, async () => {
      await page.goto(`${holdfast.url}/repositories`);
      return (await page.getByText('works', { exact: true }).count()) > 0;
    });
    await page.getByRole('link', { name: 'lab', exact: true }).first().click();
    await page.waitForURL(/\/repositories\/lab$/);
    assert.match(await main(), /Project\s+lab[\s\S]*Last looked at/);
    // No packs, so nothing that is about packs.
    for (const words of ['Check it now', 'Prune it now', 'Run a tamper test', 'Open the kit']) assert.equal(await page.getByText(words).count(), 0, words);
    await page.getByRole('button', { name: 'Look at it now' }).click();
    await page.waitForURL(/\/repositories\/lab$/);
    pages.add(page.url());
  });

  test('the instances are listed under their service', async () => {
    await until('the instances to be listed', 90, async () => {
      await page.goto(list());
      return (await page.getByRole('row').filter({ hasText: WEB }).count()) > 0;
    });
    const row = (name) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
    assert.match(await row(WEB).innerText(), /active[\s\S]*image[\s\S]*none/);
    assert.match(await row(DB).innerText(), /active[\s\S]*volume[\s\S]*none/);
    pages.add(page.url());
    // The service's own page leads there, too.
    await page.goto(`${holdfast.url}/services/vms`);
    await page.getByRole('link', { name: /instances$/ }).first().click();
    await page.waitForURL(/\/services\/vms\/instances/);
    await row(WEB).getByRole('link', { name: WEB, exact: true }).click();
    await page.waitForURL(new RegExp(`/instances/instances/${WEB}$`));
    assert.match(await main(), /booted from image[\s\S]*No snapshots yet/);
    pages.add(page.url());
  });

  test('a schedule that would burn its snapshots is warned of, and put right with one click', async () => {
    await page.getByRole('link', { name: 'Schedule', exact: true }).click();
    await page.waitForURL(/\/schedules\/new\?/);
    assert.equal(await page.locator('[name=of]').inputValue(), 'vms/instances');
    assert.equal(await page.locator('[name=instance]').inputValue(), WEB);
    assert.equal(await page.locator('#instance-list option').count(), 2);
    await page.locator('[name=name]').fill('web-morning');
    await page.locator('[name=m]').fill('*');
    await page.locator('[name=h]').fill('5');
    await page.locator('[name=max_snapshots]').fill('5');
    await page.getByText('every minute from 05:00 to 05:59, every day: 60 runs a day').waitFor();
    await page.getByText(/With max_snapshots = 5 only the last 5 m would be left/).waitFor();
    await page.getByText(/As typed: 5 of 1.800 snapshots kept/).waitFor();
    await page.getByText('As suggested: 5 of 30 snapshots kept').waitFor();
    await page.getByText(new RegExp(`Makes ${WEB}_snapshot_\\d{12}`)).waitFor();
    await page.getByText('over max_snapshots = 5').first().waitFor();
    assert.deepEqual(await axe(page), []);
    pages.add(page.url());
    // What the pattern makes follows the keys; one that cannot tell two snapshots apart is refused.
    await page.locator('[name=pattern]').fill('{0}');
    await page.getByRole('button', { name: 'Save the schedule' }).click();
    await page.getByText(/Has no \{1\}/).waitFor();
    assert.equal(await page.locator('[name=max_snapshots]').inputValue(), '5');
    await page.locator('[name=pattern]').fill('{0}_snapshot_{1}');
    await page.getByRole('button', { name: 'Use 0 5 * * *' }).click();
    await page.getByText('In words: at 05:00, every day').waitFor();
    await page.locator('[name=to_addr_error]').fill('cloud-ops@example.org');
    await page.getByRole('button', { name: 'Save the schedule' }).click();
    await page.waitForURL(/\/schedules\/web-morning$/);
    assert.match(await main(), new RegExp(`instance snapshot of ${WEB}`));
    assert.match(await main(), /max_snapshots\s+5[\s\S]*cloud-ops@example\.org/);
    pages.add(page.url());
    pages.add(`${page.url()}/edit`);
  });

  test('of any other source the fields of instances do not show', async () => {
    await page.goto(`${holdfast.url}/schedules/new`);
    await page.locator('[name=of]').fill('nobody');
    await page.getByText('In words:').waitFor();
    assert.equal(await page.locator('[name=pattern]').isVisible(), false);
    await page.locator('[name=of]').fill('vms/instances');
    await page.locator('[name=pattern]').waitFor({ state: 'visible' });
    await page.locator('#kind').selectOption('restore_test');
    await page.locator('[name=pattern]').waitFor({ state: 'hidden' });
  });

  test('a snapshot is taken now, watched, and seen with its parts', async () => {
    await page.goto(instance(WEB));
    await page.getByRole('link', { name: 'Snapshot now' }).click();
    await page.waitForURL(/\/snapshot$/);
    pages.add(page.url());
    await page.locator('[name=max_snapshots]').fill('2');
    await page.getByRole('button', { name: 'Take the snapshot' }).click();
    pages.add(await ended(page));
    assert.match(await main(), /Find the instance[\s\S]*Take the snapshot in the cloud[\s\S]*Wait until the cloud has stored it/);
    assert.match(await main(), /Boots from\s+an image[\s\S]*Downtime\s+none/);
    assert.match(await page.locator('#log').innerText(), /req-[0-9a-f-]{36}/, 'the log names the requests');
    await page.locator('main').getByRole('link', { name: new RegExp(`^${WEB}_snapshot_\\d{12}$`) }).first().click();
    await page.waitForURL(/\/snapshots\//);
    assert.match(await main(), /Parts[\s\S]*Image[\s\S]*Networks/);
    assert.equal(await page.getByText('Restore all of it').count(), 0);
    assert.equal(await page.getByRole('heading', { name: 'Files' }).count(), 0);
    pages.add(page.url());
    await page.goto(instance(WEB));
    assert.match(await main(), new RegExp(`${WEB}_snapshot_\\d{12}[^]*complete`));
    assert.match(await main(), /web-morning/);
    await page.goto(`${holdfast.url}/services/vms/snapshots`);
    assert.match(await main(), new RegExp(`${WEB}[^]*complete`));
    pages.add(page.url());
    await page.goto(`${holdfast.url}/snapshots`);
    // It cannot be compared file by file.
    assert.equal(await page.locator('main tbody input[name=s]').count(), 0);
    pages.add(page.url());
  });

  test('without JavaScript the same holds for one that boots from a volume', async () => {
    const plain = await visitor(browser, { state, js: false });
    const p = plain.page;
    await p.goto(instance(DB));
    await p.getByRole('link', { name: 'Schedule', exact: true }).click();
    await p.locator('[name=name]').fill('db-morning');
    await p.locator('[name=m]').fill('*');
    await p.locator('[name=h]').fill('5');
    await p.locator('[name=max_snapshots]').fill('5');
    await p.locator('[name=wait]').uncheck();
    await p.getByRole('button', { name: 'Refresh the preview' }).click();
    await p.getByText(/With max_snapshots = 5 only the last 5 m would be left/).waitFor();
    assert.equal(await p.locator('[name=wait]').isChecked(), false, 'what was not ticked stays so');
    await p.getByRole('button', { name: 'Use 0 5 * * *' }).click();
    await p.locator('[name=wait]').check();
    await p.getByRole('button', { name: 'Save the schedule' }).click();
    await p.waitForURL(/\/schedules\/db-morning$/);

    await p.goto(instance(DB));
    await p.getByRole('link', { name: 'Snapshot now' }).click();
    await p.locator('[name=pattern]').fill('{1}');
    await p.getByRole('button', { name: 'Take the snapshot' }).click();
    await p.getByText(/Has no \{0\}/).first().waitFor();
    await p.locator('[name=pattern]').fill('{0}_snapshot_{1}');
    await p.getByRole('button', { name: 'Take the snapshot' }).click();
    pages.add(await ended(p));
    await p.locator('main').getByRole('link', { name: new RegExp(`^${DB}_snapshot_\\d{12}$`) }).first().click();
    await p.waitForURL(/\/snapshots\//);
    assert.match(await p.locator('main').innerText(), /Snapshot of the root volume[\s\S]*Cinder/);
    pages.add(p.url());
    await plain.close();
    assert.deepEqual(plain.complaints, []);
  });

  const snapshots = async (name) => (await (await page.request.get(`${holdfast.url}/api/v1/services/vms/sources/instances/instances/${name}`)).json()).list;
  /// The head of a disk, which the guest writes into.
  const headOf = (file) => {
    const [fd, bytes] = [fs.openSync(file, 'r'), Buffer.alloc(4096)];
    fs.readSync(fd, bytes, 0, 4096, 65_536);
    fs.closeSync(fd);
    return bytes.toString('hex');
  };
  const write = (file, text) => {
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, text, 65_536);
    fs.closeSync(fd);
  };

  test('nothing leads to a restore of files, which there are none of', async () => {
    await page.goto(`${holdfast.url}/services/vms`);
    assert.equal(await page.getByText('Run a restore test').count(), 1, 'it makes a clone of the newest snapshot');
    await page.locator('.page__head').getByRole('link', { name: 'Restore', exact: true }).click();
    await page.waitForURL(/\/services\/vms\/instances/);
    const [taken] = await snapshots(WEB);
    await page.goto(`${holdfast.url}/restore?snapshot=${taken.id}`);
    assert.match(await main(), /This snapshot is of an instance/);
    pages.add(page.url());
    await page.getByRole('link', { name: 'Make a clone' }).click();
    await page.waitForURL(/\/restore\/clone\?snapshot=/);
    await page.goto(`${holdfast.url}/restore?service=vms`);
    assert.equal(await page.locator('main tbody input[name=snapshot]').count(), 0);
  });

  test('a clone is made by a date, with its cost before and its end', async () => {
    await page.goto(instance(WEB));
    await page.getByRole('link', { name: 'Make a clone' }).click();
    await page.waitForURL(/\/restore\/clone\?/);
    pages.add(page.url());
    await page.locator('[name=date]').fill('yesterday');
    await page.getByRole('button', { name: 'Find the snapshot' }).click();
    await page.locator('#date-e').getByText(/is not a date; write a day as YYYYMMDD/).waitFor();
    pages.add(page.url());
    assert.deepEqual(await axe(page), []);
    const [taken] = await snapshots(WEB);
    await page.locator('[name=date]').fill(taken.name.slice(-12));
    await page.getByRole('button', { name: 'Find the snapshot' }).click();
    await page.getByRole('heading', { name: '2. What it gets' }).waitFor();
    await page.locator('[name=flavour]').fill('lab.nowhere');
    await page.locator('[name=metadata]').fill('role=drill\nnonsense');
    await page.getByRole('button', { name: 'Continue to the preview' }).click();
    await page.locator('#metadata-e').getByText(/“nonsense” is neither/).waitFor();
    await page.locator('[name=metadata]').fill('role=drill');
    await page.getByRole('button', { name: 'Use these choices' }).click();
    await page.getByText('The cloud has no flavour “lab.nowhere”.').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Make the clone' }).count(), 0);
    pages.add(page.url());
    await page.locator('[name=flavour]').fill('');
    await page.locator('[name=days]').fill('2');
    await page.getByRole('button', { name: 'Use these choices' }).click();
    await page.getByRole('button', { name: 'Make the clone' }).waitFor();
    assert.match(await main(), /vCPUs\s+1[\s\S]*Disk\s+\d+ GiB[\s\S]*Ends[\s\S]*role = drill/i);
    assert.deepEqual(await axe(page), []);
    pages.add(page.url());
    await page.getByRole('button', { name: 'Make the clone' }).click();
    pages.add(await ended(page));
    assert.match(await main(), /Status\s+ACTIVE after/);
    const [made] = (await cloud.servers(`${WEB}_clone_`)).filter((s) => s.name.startsWith(`${WEB}_clone_`));
    assert.deepEqual([made.status, made.metadata.role], ['ACTIVE', 'drill']);
  });

  test('the clone is listed with what it takes, gets more time and is deleted by its name', async () => {
    await page.goto(list());
    await page.getByRole('link', { name: '1 clone stands' }).click();
    await page.waitForURL(/\/services\/vms\/clones$/);
    assert.match(await main(), /Stand\s+1[\s\S]*stands[\s\S]*1 vCPU/i);
    pages.add(page.url());
    await page.getByRole('link', { name: /^More time/ }).click();
    await page.locator('dialog [name=days]').fill('1');
    await page.getByRole('button', { name: 'Give it more time' }).click();
    await page.getByText(/would end it no later than it ends now/).waitFor();
    await page.goto(`${holdfast.url}/services/vms/clones`);
    await page.getByRole('link', { name: /^More time/ }).click();
    await page.locator('dialog [name=days]').fill('20');
    await page.getByRole('button', { name: 'Give it more time' }).click();
    await page.getByText(/in 20 d|in 19 d/).first().waitFor();
    const remove = async (typed) => {
      await page.goto(`${holdfast.url}/services/vms/clones`);
      await page.getByRole('link', { name: /^Delete/ }).click();
      await page.locator('dialog[open] [name=confirm]').fill(typed);
      await page.locator('dialog[open] [name=reason]').fill('the drill is over');
      await page.getByRole('button', { name: 'Delete the clone' }).click();
    };
    const name = await page.locator('tbody th .mono').first().innerText();
    await remove('wrong');
    await page.getByText(/type the clone’s name|type the clone's name/).waitFor();
    await remove(name);
    await page.waitForURL(/\/clones$/);
    await until('the clone to be gone', 120, async () => (await cloud.servers(name)).length === 0);
    await until('the list to say so', 60, async () => {
      await page.goto(`${holdfast.url}/services/vms/clones?all=1`);
      return (await page.getByText('ended', { exact: true }).count()) > 0;
    });
    pages.add(page.url());
  });

  test('without JavaScript an instance is brought back in its place', async () => {
    const [taken] = await snapshots(WEB);
    const before = headOf(disk(web));
    write(disk(web), 'written after the snapshot');
    assert.notEqual(headOf(disk(web)), before);
    const plain = await visitor(browser, { state, js: false });
    const p = plain.page;
    await p.goto(`${holdfast.url}/snapshots/${taken.id}`);
    await p.getByRole('link', { name: 'Restore in place' }).click();
    await p.waitForURL(/\/restore\/in-place\?snapshot=/);
    const shown = await p.locator('main').innerText();
    for (const words of [/Hypervisor met/, /State met/, /Boot type met/, /Size met/, /Safety snapshot met/, /Way\s+Rebuild from the image/, /Lost\s+all that was written to its root disk since/]) assert.match(shown, words);
    pages.add(p.url());
    await p.locator('[name=confirm]').fill(WEB);
    await p.locator('[name=reason]').fill('an update broke it');
    await p.getByRole('button', { name: 'Restore in place' }).click();
    await p.locator('#confirm-e').getByText(/type the service's name, vms/i).waitFor();
    assert.equal(await p.locator('[name=reason]').inputValue(), 'an update broke it');
    await p.locator('[name=confirm]').fill('vms');
    await p.getByRole('button', { name: 'Restore in place' }).click();
    pages.add(await ended(p));
    assert.match(await p.locator('main').innerText(), /Reason\s+an update broke it/);
    assert.equal(headOf(disk(web)), before, 'the disk is that of the snapshot');
    await plain.close();
    assert.deepEqual(plain.complaints, []);
  });

  test('one that boots from a volume is brought back, too, and cloned without JavaScript', async () => {
    const [taken] = await snapshots(DB);
    const [volume] = await cloud.volumesOf(db);
    const before = headOf(volumeFile(volume));
    write(volumeFile(volume), 'written after the snapshot');
    await page.goto(`${holdfast.url}/restore/in-place?snapshot=${taken.id}`);
    assert.match(await main(), /Latest met[\s\S]*Detached not met, not needed[\s\S]*Version of the API met[\s\S]*Replace what is on the root volume/);
    assert.deepEqual(await axe(page), []);
    pages.add(page.url());
    await page.locator('[name=confirm]').fill('vms');
    await page.locator('[name=reason]').fill('a trial');
    await page.getByRole('button', { name: 'Restore in place' }).click();
    pages.add(await ended(page));
    const [now] = await cloud.volumesOf(db);
    assert.equal(headOf(volumeFile(now)), before, 'the volume is that of the snapshot');

    const plain = await visitor(browser, { state, js: false });
    const p = plain.page;
    await p.goto(`${holdfast.url}/restore/clone?service=vms&instance=${DB}`);
    await p.locator('tbody').getByRole('link', { name: new RegExp(`Choose ${DB}_snapshot_`) }).first().click();
    await p.locator('[name=clone_name]').fill(`${DB}-clone`);
    await p.locator('[name=networks][value=none]').check();
    await p.getByRole('button', { name: 'Continue to the preview' }).click();
    assert.match(await p.locator('main').innerText(), /Disk\s+1 GiB[\s\S]*Its volumes take 1 GiB[\s\S]*Networks\s+none/i);
    await p.getByRole('button', { name: 'Make the clone' }).click();
    pages.add(await ended(p));
    assert.equal((await cloud.servers(`${DB}-clone`))[0].status, 'ACTIVE');
    await plain.close();
    assert.deepEqual(plain.complaints, []);
  });

  sweeps(() => ({ holdfast, browser, state, pages }));

  test('nothing complained', () => assert.deepEqual(v.complaints, []));
});
