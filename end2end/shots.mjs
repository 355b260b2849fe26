// Pictures of every page: light, dark, 390 px, without JavaScript, into end2end/shots/. Run: node shots.mjs [--example]
import fs from 'node:fs';
import path from 'node:path';
import { SHOTS, everyKindOfPage, launch, session, start, visitor } from './harness.mjs';

const example = process.argv.includes('--example');
const holdfast = await start({ example, fixture: !example });
const browser = await launch();
try {
  const service = 'notebooks';
  await holdfast.cli('backup', service);
  await holdfast.cli('restore-test', service, '--sample', '2');
  const state = await session(holdfast, browser);
  const crawler = await visitor(browser, { state, js: false });
  const pages = [`${holdfast.url}/login`, ...(await everyKindOfPage(holdfast, crawler.page))];
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
