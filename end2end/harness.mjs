// What every journey needs: the real binary on a temporary data folder, and a browser that minds what it sees.
//
// Lives here: starting and stopping, logging in, the rules that hold on every page.
// May not: knowing what one page looks like; that is the journeys' business.

import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const BIN = process.env.HOLDFAST_BIN ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(os.homedir(), '.cache/holdfast/target'), 'debug/holdfast');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const SHOTS = path.join(here, 'shots');

function freePort() {
  return new Promise((resolve, reject) => {
    const s = net.createServer().once('error', reject).listen(0, '127.0.0.1', () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

export async function until(what, seconds, probe) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain for ${what}`);
    await new Promise((r) => setTimeout(r, 100));
  }
}

/// SHA-256 of every file below a folder by its path there; symlinks by where they point.
export function fingerprint(dir) {
  const out = {};
  const walk = (at) => {
    for (const e of fs.readdirSync(at, { withFileTypes: true })) {
      const p = path.join(at, e.name);
      const name = path.relative(dir, p);
      if (e.isDirectory()) walk(p);
      else if (e.isSymbolicLink()) out[name] = `-> ${fs.readlinkSync(p)}`;
      else out[name] = createHash('sha256').update(fs.readFileSync(p)).digest('hex');
    }
  };
  walk(dir);
  return out;
}

// Five users with a few files each: small, so that a journey takes seconds.
export const USERS = ['alice', 'bob-2eclark', 'carla', 'dmitri', 'eve'].map((u, i) => `hub-claim-${u}-pvc-0000000${i}-1111-4222-8333-444455556666`);

function writeFixture(exports, megabytes) {
  for (const [i, user] of USERS.entries()) {
    const home = path.join(exports, user);
    fs.mkdirSync(path.join(home, 'work'), { recursive: true });
    fs.mkdirSync(path.join(home, 'data'));
    fs.writeFileSync(path.join(home, 'work/analysis.ipynb'), JSON.stringify({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [], user }));
    fs.writeFileSync(path.join(home, 'work/Übung 1.ipynb'), `{"user": ${i}}`);
    fs.writeFileSync(path.join(home, 'data/values.csv'), Array.from({ length: 500 * (i + 1) }, (_, n) => `${n},${n * i}\n`).join(''));
    fs.writeFileSync(path.join(home, 'data/model.bin'), randomBytes(200_000 + (megabytes * 1e6) / USERS.length));
    fs.symlinkSync('data/values.csv', path.join(home, 'latest.csv'));
  }
}

function configuration(dir) {
  return `version: 1
repositories:
  - name: main
    location: "file://${dir}/repository"
    password: { file: "${dir}/password" }
policies:
  - name: standard
    keep_last: 50
    keep_daily: 7
    keep_monthly: 12
services:
  - name: notebooks
    title: Notebooks of the faculty
    owner: notebooks-ops
    rpo: 24h
    rto: 24h
    mtpod: 48h
    sources:
      - name: homes
        kind: directory
        path: "${dir}/exports"
        items: children
        repository: main
        policy: standard
schedules:
  - { name: nightly, kind: backup, service: notebooks, cron: "15 1 * * *", zone: Europe/Prague, jitter: 10m, max_duration: 6h }
  - { name: weekly-test, kind: restore_test, service: notebooks, sample: 2, cron: "30 5 * * SUN", zone: Europe/Prague }
`;
}

/// Starts Holdfast on a data folder of its own. `fixture: false` starts it empty, `example: true` with the example;
/// `megabytes` makes the fixture larger, so that there is something to watch.
/// Call `stop()` at the end; it removes the folder.
export async function start({ fixture = true, example = false, megabytes = 0 } = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-e2e-'));
  const data = path.join(dir, 'data');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { ...process.env, RUST_LOG: process.env.RUST_LOG ?? 'info' };
  const cli = async (...args) => (await run(BIN, ['--data', data, ...args], { env, maxBuffer: 1 << 26, timeout: 120_000 })).stdout;
  if (fixture) {
    writeFixture(path.join(dir, 'exports'), megabytes);
    fs.writeFileSync(path.join(dir, 'password'), `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 });
    fs.writeFileSync(path.join(dir, 'holdfast.yaml'), configuration(dir));
    await cli('apply', path.join(dir, 'holdfast.yaml'));
  }

  let log = '';
  // Journeys sign in more often than people do.
  const serve = ['--data', data, 'serve', '--listen', `127.0.0.1:${port}`, '--sign-in-rate', '1000'];
  const server = spawn(BIN, [...serve, ...(example ? ['--example'] : [])], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const s of [server.stdout, server.stderr]) s.on('data', (d) => (log += d));
  const ended = new Promise((r) => server.once('exit', r));
  await until('the server to answer', 60, async () => {
    if (server.exitCode !== null) throw new Error(`the server ended:\n${log}`);
    return fetch(`${url}/healthz`).then((r) => r.ok, () => false);
  });

  return {
    dir, data, url, cli,
    log: () => log,
    loginLink: async () => {
      const out = await cli('login-link');
      const link = out.match(/https?:\/\/\S+/)?.[0];
      assert.ok(link, `login-link printed no link: ${out}`);
      return url + new URL(link).pathname + new URL(link).search;
    },
    stop: async () => {
      server.kill('SIGTERM');
      const timer = setTimeout(() => server.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(timer);
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}

export function launch() {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
  });
}

/// A window whose pages may not log an error, throw, or answer without a strict policy. `complaints` says what went wrong.
export async function visitor(browser, { js = true, dark = false, width = 1280, state } = {}) {
  const context = await browser.newContext({
    javaScriptEnabled: js, colorScheme: dark ? 'dark' : 'light', viewport: { width, height: width < 600 ? 844 : 900 },
    reducedMotion: 'reduce', acceptDownloads: true, storageState: state,
  });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (m) => m.type() === 'error' && complaints.push(`console: ${m.text()} (${page.url()})`));
  page.on('pageerror', (e) => complaints.push(`script: ${e.message} (${page.url()})`));
  page.on('response', (r) => {
    if (r.status() >= 500) complaints.push(`${r.status()} ${r.url()}`);
    if (r.request().resourceType() !== 'document' || !(r.headers()['content-type'] ?? '').includes('html')) return;
    const csp = r.headers()['content-security-policy'] ?? '';
    const scripts = csp.split(';').find((d) => d.trim().startsWith('script-src')) ?? '';
    const strict = scripts.includes("'nonce-") || scripts.trim() === "script-src 'self'";
    if (!strict || scripts.includes("'unsafe-inline'")) complaints.push(`weak policy “${csp}” at ${r.url()}`);
  });
  return { context, page, complaints, close: () => context.close() };
}

/// Logs in by a fresh one-time link and keeps the session for other windows.
export async function login(holdfast, page) {
  await page.goto(await holdfast.loginLink());
  const button = page.locator('main button[type=submit], main button:not([type])').first();
  if (new URL(page.url()).pathname.startsWith('/login')) await button.click();
  await page.waitForURL((u) => !u.pathname.startsWith('/login'));
}

/// Holdfast and a window that is logged in, for the tests of one `describe`; `prepare(holdfast)` runs before the window opens,
/// `state` logs other windows in. Call `close()` at the end.
export async function opened({ js, fixture, prepare = async () => {} }) {
  const holdfast = await start({ fixture });
  let browser;
  const close = async () => {
    await browser?.close();
    await holdfast.stop();
  };
  try {
    await prepare(holdfast);
    browser = await launch();
    const v = await visitor(browser, { js });
    await login(holdfast, v.page);
    return { holdfast, browser, v, page: v.page, state: await v.context.storageState(), close };
  } catch (e) {
    await close();
    throw e;
  }
}

/// One session as cookies, for windows that should be logged in from the start.
export async function session(holdfast, browser) {
  const v = await visitor(browser, { js: false });
  await login(holdfast, v.page);
  const state = await v.context.storageState();
  await v.close();
  return state;
}

/// Axe's findings under WCAG 2.2 AA, or by some rules alone, as lines that say where.
export async function axe(page, rules) {
  const builder = new AxeBuilder({ page });
  const { violations } = await (rules ? builder.withRules(rules) : builder.withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])).analyze();
  return violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => `${v.id}: ${n.target.join(' ')} – ${n.failureSummary.split('\n').slice(1).join('; ').trim()}`));
}

/// How many pixels the page can be scrolled sideways; nought is right.
export const overhang = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/// The rules that hold on every page, as tests of the pages that `given()` tells of once the tests before have run.
export function sweeps(given) {
  const sweep = (name, window, look) => test(name, async () => {
    const { holdfast, browser, state, pages } = given();
    const v = await visitor(browser, { state, ...window });
    const faults = [];
    for (const url of pages) {
      await v.page.goto(url);
      for (const fault of await look(v.page)) faults.push(`${url.slice(holdfast.url.length)}  ${fault}`);
    }
    await v.close();
    assert.deepEqual([...faults, ...v.complaints], []);
  });
  sweep('light: axe', {}, (page) => axe(page));
  sweep('dark: contrast', { dark: true }, (page) => axe(page, ['color-contrast']));
  sweep('390 px: axe and no scrolling sideways', { width: 390 }, async (page) => [...(await axe(page)), ...((await overhang(page)) > 0 ? [`${await overhang(page)} px too wide`] : [])]);
  sweep('without JavaScript: one title, one main part', { js: false }, async (page) => {
    const counted = await Promise.all(['h1', 'main', 'head > title'].map(async (s) => [s, await page.locator(s).count()]));
    return counted.filter(([, n]) => n !== 1).map(([s, n]) => `${n} × ${s}`);
  });
}

/// One address of every kind that can be reached by links from the home page.
export async function everyKindOfPage(holdfast, page, limit = 120) {
  const kind = (u) => u.pathname.replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, ':id').replace(/\/[0-9a-f]{12,64}/g, '/:id')
    .replace(/^\/(services|people|policies|repositories|schedules(?!\/new))\/[^/]+/, '/$1/:name')
    .replace(/^(\/services\/:name\/instances)\/[^/]+\/[^/]+/, '$1/:source/:instance') + (u.searchParams.size ? `?${[...u.searchParams.keys()].sort().join('&')}` : '');
  const found = new Map();
  const queue = [new URL('/', holdfast.url)];
  for (let at; (at = queue.shift()) && found.size < limit;) {
    if (found.has(kind(at))) continue;
    const answer = await page.goto(at.href).catch((e) => {
      if (/download/i.test(e.message)) return null;
      throw e;
    });
    if (!answer || !(answer.headers()['content-type'] ?? '').includes('html')) continue;
    assert.ok(answer.ok(), `${answer.status()} at ${at.href}, which a page links to`);
    found.set(kind(at), at.href);
    const links = await page.$$eval('a[href]:not([download])', (all) => all.map((a) => a.href));
    queue.push(...links.map((l) => new URL(l)).filter((u) => u.origin === holdfast.url && !/^\/(logout|api|pkg|metrics)/.test(u.pathname)).map((u) => (u.hash = '', u)));
  }
  return [...found.values()];
}
