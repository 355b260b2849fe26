// Pictures of every page: light, dark, 390 px, without JavaScript, into end2end/shots/. Run: node shots.mjs [--example] [PART OF AN ADDRESS]
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { SHOTS, USERS, everyKindOfPage, launch, session, start, visitor } from './harness.mjs';

/// A home that looks encrypted, a source that cannot be read, a channel that nobody answers: something to show.
async function trouble(holdfast, browser, state, service) {
  const home = path.join(holdfast.dir, 'exports', USERS[1], 'work');
  const write = (bytes) => Array.from({ length: 40 }, (_, n) => fs.writeFileSync(path.join(home, `chapter ${n}.ipynb`), bytes(n)));
  write((n) => JSON.stringify({ cells: Array.from({ length: 30 }, (_, c) => ({ source: [`x${c} = load(${n}, ${n * 7919 + c})`] })) }));
  await holdfast.cli('backup', service);
  write(() => randomBytes(3000));
  fs.writeFileSync(path.join(holdfast.dir, 'exports', USERS[2], 'work/new.txt'), 'new');
  await holdfast.cli('backup', service);
  const v = await visitor(browser, { state, js: false });
  await v.page.goto(`${holdfast.url}/notifications/channels/new?kind=webhook`);
  await v.page.locator('#f-name').fill('operations');
  await v.page.locator('#f-secret-url').fill('http://127.0.0.1:9/hook');
  await v.page.getByRole('button', { name: 'Add the channel' }).click();
  await v.page.goto(`${holdfast.url}/notifications/rules/new`);
  await v.page.locator('#f-name').fill('everything');
  await v.page.locator('input[value=operations]').check();
  await v.page.getByRole('button', { name: 'Save the rule' }).click();
  await v.page.waitForTimeout(35_000); // the watchdogs look twice a minute
  await v.close();
}

const example = process.argv.includes('--example');
const only = process.argv.slice(2).find((a) => !a.startsWith('--')) ?? '';
const holdfast = await start({ example, fixture: !example });
const browser = await launch();
try {
  const service = 'notebooks';
  await holdfast.cli('backup', service);
  await holdfast.cli('restore-test', service, '--sample', '2');
  const state = await session(holdfast, browser);
  if (!example) await trouble(holdfast, browser, state, service);
  const crawler = await visitor(browser, { state, js: false });
  const pages = [`${holdfast.url}/login`, ...(await everyKindOfPage(holdfast, crawler.page))].filter((p) => p.includes(only));
  await crawler.close();
  fs.rmSync(SHOTS, { recursive: true, force: true });
  fs.mkdirSync(SHOTS, { recursive: true });
  for (const [name, window] of Object.entries({ light: {}, dark: { dark: true }, narrow: { width: 390 }, nojs: { js: false } })) {
    const v = await visitor(browser, { state, ...window });
    for (const url of pages) {
      const u = new URL(url);
      if (u.pathname === '/login') await v.context.clearCookies();
      else await v.context.addCookies(state.cookies);
      await v.page.goto(url);
      await v.page.waitForTimeout(300);
      const file = `${(u.pathname.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'id').slice(1) || 'home').replaceAll('/', '-').slice(0, 60)}${[...u.searchParams.keys()].map((k) => `-${k}`).join('')}-${name}.png`;
      await v.page.screenshot({ path: path.join(SHOTS, file), fullPage: true });
    }
    if (v.complaints.length) console.log(name, v.complaints);
    await v.close();
  }
  console.log(`${fs.readdirSync(SHOTS).length} pictures in ${SHOTS}`);
} finally {
  await browser.close();
  await holdfast.stop();
}
