// Telling somebody: a channel and a rule made by forms, a test message, an alert that arrives and ends, what is on
// record. Once with JavaScript and once without, against a receiver that is really called.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { axe, launch, login, overhang, start, until, visitor } from '../harness.mjs';

/// A receiver that keeps what it hears; `answers` are given one a request, then 200.
async function receiver() {
  const heard = [];
  const answers = [];
  const server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (d) => (text += d));
    request.on('end', () => {
      heard.push({ path: request.url, body: text ? JSON.parse(text) : null });
      response.writeHead(answers.shift() ?? 200).end('ok');
    });
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  return { heard, answers, url: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((r) => server.close(r)) };
}

for (const js of [true, false]) {
  describe(js ? 'telling somebody, with JavaScript' : 'telling somebody, without JavaScript', () => {
    let holdfast, browser, v, page, ear;

    before(async () => {
      ear = await receiver();
      holdfast = await start();
      browser = await launch();
      v = await visitor(browser, { js });
      page = v.page;
      await login(holdfast, page);
    });
    after(async () => {
      await browser?.close();
      await holdfast?.stop();
      await ear?.close();
    });

    test('a channel is made, its secret is sealed and never shown again', async () => {
      await page.getByRole('link', { name: 'Notifications', exact: true }).first().click();
      await page.getByText('Nobody is told yet').waitFor();
      await page.getByRole('link', { name: 'Webhook', exact: true }).click();
      await page.locator('#f-name').fill('hook');
      await page.locator('#f-secret-url').fill(`${ear.url}/in/very-secret`);
      await page.getByRole('button', { name: 'Add the channel' }).click();
      await page.waitForURL((u) => u.pathname === '/notifications');
      await page.getByText('Nobody is told anything.').waitFor();
      assert.ok(!(await page.content()).includes('very-secret'));
      await page.getByRole('link', { name: 'hook', exact: true }).first().click();
      assert.ok(!(await page.content()).includes('very-secret'));
      for (const name of fs.readdirSync(holdfast.data)) {
        const file = path.join(holdfast.data, name);
        if (fs.statSync(file).isFile()) assert.ok(!fs.readFileSync(file).includes('very-secret'), `the secret stands in ${name}`);
      }
      assert.equal(fs.statSync(path.join(holdfast.data, 'server.key')).mode & 0o777, 0o600);
    });

    test('what cannot be used is said beside its field', async () => {
      await page.goto(`${holdfast.url}/notifications/channels/new?kind=slack`);
      await page.locator('#f-name').fill('chat');
      await page.locator('#f-secret-url').fill('not an address');
      await page.getByRole('button', { name: 'Add the channel' }).click();
      await page.locator('.field__error').first().waitFor();
      assert.match(await page.locator('.field__error').first().innerText(), /is not an address/i);
    });

    test('a test message arrives, and the page says so', async () => {
      await page.goto(`${holdfast.url}/notifications`);
      await page.getByRole('button', { name: 'Send a test' }).click();
      await page.waitForURL(/\/notifications\/deliveries\//);
      await until('the test message', 30, async () => ear.heard.length === 1);
      assert.deepEqual([ear.heard[0].path, ear.heard[0].body.event], ['/in/very-secret', 'test']);
      await until('the page to say so', 30, async () => {
        await page.reload();
        return (await page.locator('main').innerText()).includes('delivered');
      });
      assert.ok(!(await page.content()).includes('very-secret'));
    });

    test('an alert is told by a rule, stands on the home page with one act, and ends', async () => {
      await page.goto(`${holdfast.url}/notifications/rules/new`);
      await page.locator('#f-name').fill('everything');
      await page.locator('input[value=hook]').check();
      await page.getByRole('button', { name: 'Save the rule' }).click();
      await page.waitForURL((u) => u.pathname === '/notifications');
      ear.heard.length = 0;
      await holdfast.cli('backup', 'notebooks');
      await until('the alert', 60, async () => ear.heard.some((h) => h.body.event === 'opened' && h.body.kind === 'never_restored'));
      await page.goto(holdfast.url);
      const worst = page.locator('ol.worst > li');
      assert.equal(await worst.count(), 1);
      assert.match(await worst.first().innerText(), /never restored/i);
      const counts = await page.locator('nav.rail .nav', { hasText: 'Home' }).innerText();
      assert.match(counts, /1/, 'the count beside Home is that of the list');
      await worst.first().getByRole('button', { name: 'Run a restore test' }).click();
      await page.waitForURL(/\/runs\//);
      await until('its end', 120, async () => ear.heard.some((h) => h.body.event === 'resolved' && h.body.kind === 'never_restored'));
      // Home is as it was at most two seconds ago.
      await until('home to be calm', 10, async () => {
        await page.goto(holdfast.url);
        return (await page.locator('ol.worst > li').count()) === 0;
      });
    });

    test('every page of notifications is whole, narrow, and fit for everybody', async () => {
      const alert = async () => {
        await page.goto(`${holdfast.url}/notifications/alerts?show=all`);
        return page.locator('tbody a[href^="/notifications/alerts/"]').first().getAttribute('href');
      };
      const pages = ['/notifications', '/notifications/alerts?show=all', '/notifications/deliveries', '/notifications/channels/hook', '/notifications/channels/new?kind=mail',
        '/notifications/channels/new?kind=pagerduty', '/notifications/rules/new', '/notifications/rules/everything', '/notifications/heartbeats/new', await alert()];
      const narrow = await visitor(browser, { js, width: 390, state: await v.context.storageState() });
      for (const at of pages) {
        for (const w of [v, narrow]) {
          await w.page.goto(holdfast.url + at);
          assert.equal(await overhang(w.page), 0, `${at} can be scrolled sideways`);
          if (js) assert.deepEqual(await axe(w.page), [], at);
        }
      }
      assert.deepEqual(narrow.complaints, []);
      await narrow.close();
    });

    test('nothing went wrong on the way, and the log holds no secret', () => {
      assert.deepEqual(v.complaints, []);
      assert.ok(!holdfast.log().includes('very-secret'));
    });
  });
}
