// Another tool than Holdfast in the project of a running OpenStack: it makes what a journey needs and removes it again.
//
// Lives here: where the OpenStack is, calls by hand, a Holdfast that watches it. May not: what a page looks like.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { opened, until } from './harness.mjs';

/// The state folder of a running lab, whose clouds.yaml names the cloud “lab”.
const lab = process.env.HOLDFAST_TEST_OPENSTACK;

/// Why a journey cannot be made, if so.
export const skip = !lab || lab === 'no' ? 'HOLDFAST_TEST_OPENSTACK names no state folder of a running OpenStack' : false;

const facts = () => JSON.parse(fs.readFileSync(path.join(lab, 'lab.json'), 'utf8'));

/// The root disk of an instance that boots from its image. To play the guest, write into it.
export const disk = (instance) => path.join(lab, 'nova/instances', instance, 'disk');

/// What a volume holds.
export const volumeFile = (volume) => path.join(lab, 'cinder/volumes', `volume-${volume}`);

/// Holdfast with the instances of that pattern as the service `vms`, and a window that is logged in (see `opened`).
/// `repositories(dir)` makes and names more of them.
export const watching = (instances, repositories = () => '') =>
  opened({
    fixture: false,
    prepare: async ({ dir, cli }) => {
      const file = path.join(dir, 'holdfast.yaml');
      fs.writeFileSync(file, `version: 1
repositories:
  - { name: lab, clouds_file: "${path.join(lab, 'clouds.yaml')}", cloud: lab }
${repositories(dir)}services:
  - name: vms
    title: Virtual machines
    owner: cloud-ops
    rpo: 24h
    rto: 24h
    mtpod: 48h
    sources:
      - { name: instances, kind: openstack-instance, instances: ["${instances}"], repository: lab }
`);
      await cli('apply', file);
    },
  });

/// Waits until the run that the page goes to has succeeded, on another page: its own moves by itself. The run's address.
export async function ended(page) {
  await page.waitForURL(/\/runs\//);
  const address = page.url();
  const { origin, pathname } = new URL(address);
  await page.goto(`${origin}/policies`);
  await until('the run to end', 300, async () => {
    const { state, failure } = await (await page.request.get(`${origin}/api/v1${pathname}`)).json();
    assert.ok(['queued', 'running', 'succeeded'].includes(state), `${state}: ${JSON.stringify(failure)}`);
    return state === 'succeeded';
  });
  await page.goto(address);
  return address;
}

export async function tool() {
  const f = facts();
  const account = f.clouds.lab;
  const domain = { name: 'Default' };
  const identity = { methods: ['password'], password: { user: { name: account.user, domain, password: f.password } } };
  const auth = { identity, scope: { project: { name: account.project, domain } } };
  const signed = await fetch(`${f.auth_url}/auth/tokens`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ auth }) });
  const token = signed.headers.get('x-subject-token');
  const { token: body } = await signed.json();
  const base = (types) => body.catalog.find((s) => types.includes(s.type)).endpoints.find((e) => e.interface === 'public').url.replace(/\/$/, '');
  const call = async (types, method, at, json) => {
    const headers = { 'x-auth-token': token, 'content-type': 'application/json', 'openstack-api-version': 'compute 2.45, volume 3.60' };
    const answer = await fetch(`${base(types)}${at}`, { method, headers, body: json && JSON.stringify(json) });
    const text = await answer.text();
    return { status: answer.status, body: text.startsWith('{') ? JSON.parse(text) : text };
  };
  const nova = (method, at, json) => call(['compute'], method, at, json);
  const glance = (method, at) => call(['image'], method, `${base(['image']).endsWith('/v2') ? '' : '/v2'}${at}`);
  const cinder = (method, at, json) => call(['block-storage', 'volumev3'], method, at, json);

  const server = async (id) => (await nova('GET', `/servers/${id}`)).body.server;
  const runs = async (made) => {
    const id = made.body.server?.id;
    assert.ok(id, `no server was made: ${JSON.stringify(made.body)}`);
    await until('the instance to run', 240, async () => {
      const { status, fault } = await server(id);
      assert.notEqual(status, 'ERROR', JSON.stringify(fault));
      return status === 'ACTIVE';
    });
    return id;
  };
  /// Starts an instance from the image. Its id.
  const boot = async (name) =>
    runs(await nova('POST', '/servers', { server: { name, imageRef: f.image, flavorRef: f.flavours['lab.tiny'], networks: [{ uuid: f.network }] } }));
  /// Starts one from a volume of one GiB. Its id.
  const bootFromVolume = async (name) => {
    const root = { boot_index: 0, uuid: f.image, source_type: 'image', destination_type: 'volume', volume_size: 1, delete_on_termination: true };
    return runs(await nova('POST', '/servers', { server: { name, flavorRef: f.flavours['lab.volume'], networks: [{ uuid: f.network }], block_device_mapping_v2: [root] } }));
  };
  /// The volumes of an instance.
  const volumesOf = async (id) => (await nova('GET', `/servers/${id}/os-volume_attachments`)).body.volumeAttachments.map((a) => a.volumeId);
  const servers = async (name) => (await nova('GET', `/servers/detail?name=${encodeURIComponent(name)}`)).body.servers;

  /// Removes all whose names begin so: clones first, which hold on to what they were made of.
  async function clear(prefix) {
    // A list that could not be told is not an empty one.
    const ours = async (call, kind) => {
      const { status, body } = await call;
      return status === 200 ? body[kind].filter((x) => (x.name ?? '').startsWith(prefix)) : undefined;
    };
    const all = async () => ({
      servers: await ours(nova('GET', '/servers/detail?limit=1000'), 'servers'),
      volumes: await ours(cinder('GET', '/volumes/detail?limit=1000'), 'volumes'),
      snapshots: await ours(cinder('GET', '/snapshots/detail?limit=1000'), 'snapshots'),
      images: await ours(glance('GET', '/images?limit=1000'), 'images'),
    });
    await until(`all of ${prefix} to be removed`, 240, async () => {
      const left = await all();
      if (Object.values(left).includes(undefined)) return false;
      const clones = left.servers.filter((s) => s.name.includes('_clone_') || s.name.includes('-clone'));
      for (const s of clones) await nova('DELETE', `/servers/${s.id}`);
      if (clones.length === 0) {
        for (const v of left.volumes) await cinder('DELETE', `/volumes/${v.id}`);
        for (const s of left.snapshots) await cinder('DELETE', `/snapshots/${s.id}`);
        for (const i of left.images) await glance('DELETE', `/images/${i.id}`);
        if (left.snapshots.length + left.volumes.length === 0) for (const s of left.servers) await nova('DELETE', `/servers/${s.id}`);
      }
      return Object.values(left).every((x) => x.length === 0);
    });
  }
  return { nova, glance, cinder, boot, bootFromVolume, server, servers, volumesOf, clear };
}
