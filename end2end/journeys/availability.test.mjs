// Availability by month: entered by hand and marked so, explained, fetched from an ARGO that is really called, one figure
// chosen of two. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, until, visitor } from '../harness.mjs';

const KEY = 'very-secret-key-of-the-tenant';
const PAGE = '/services/notebooks/availability';

/// The month that was `back` months ago, such as 2026-09.
function month(back) {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)).toISOString().slice(0, 7);
}

/// ARGO's API of version 2 for one group; `status` is what it answers next, once.
async function argo() {
  const asked = [];
  const next = [];
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://argo');
    asked.push({ path: url.pathname, granularity: url.searchParams.get('granularity'), key: request.headers['x-api-key'] });
    const say = (status, body) => response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
    const status = next.shift() ?? 200;
    if (request.headers['x-api-key'] !== KEY) return say(401, { status: { message: 'Unauthorized', code: '401' } });
    if (status !== 200) return say(status, { status: { message: 'No', code: `${status}` } });
    const daily = url.searchParams.get('granularity') === 'daily';
    const result = (timestamp, a, r) => ({ timestamp, availability: a, reliability: r, unknown: '0', uptime: '1', downtime: '0' });
    const results = daily ? [result(`${month(1)}-03`, '100', '100')] : [result(month(2), '99.99999900000002', '99.99999900000002'), result(month(1), '88.5', '95.25')];
    return say(200, { results: [{ name: 'EGI', type: 'PROJECT', endpoints: [{ name: 'CESGA', type: 'SITES', results }] }] });
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  return { asked, next, url: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((r) => server.close(r)) };
}

for (const js of [true, false]) {
  describe(js ? 'availability, with JavaScript' : 'availability, without JavaScript', () => {
    let holdfast, browser, v, page, close, stub;

    before(async () => {
      stub = await argo();
      ({ holdfast, browser, v, page, close } = await opened({ js }));
    });
    after(async () => {
      await close?.();
      await stub?.close();
    });

    test('a month is entered by hand and says so', async () => {
      await page.goto(`${holdfast.url}/services/notebooks`);
      await page.locator('nav.tabs').getByRole('link', { name: 'Availability' }).click();
      await page.waitForURL((u) => u.pathname === PAGE);
      await page.getByText('Nothing is known of the months').waitFor();
      await page.locator('#f-month').fill('2020-02');
      await page.locator('#f-availability').fill('178.53');
      await page.getByRole('button', { name: 'Enter the month' }).click();
      await page.locator('.field__error').first().waitFor();
      assert.match(await page.locator('.field__error').first().innerText(), /between 0 and 100/);
      assert.equal(await page.locator('#f-availability').inputValue(), '178.53', 'what was typed is there');
      assert.equal(await page.locator('input[name=month]').first().inputValue(), '2020-02');
      await page.locator('#f-availability').fill('78.53');
      await page.locator('#f-reliability').fill('78,53');
      await page.getByRole('button', { name: 'Enter the month' }).click();
      await page.waitForURL((u) => u.searchParams.get('month') === '2020-02' && !u.searchParams.has('__err'));
      const panel = page.locator('section[aria-labelledby=p-month]');
      assert.match(await panel.innerText(), /Entered by hand/);
      assert.match(await panel.innerText(), /78\.53 %/);
      const twin = page.getByRole('region', { name: 'Availability and reliability by month, table' });
      assert.match(await twin.innerText(), /entered by hand by /);
      assert.equal(await page.locator('svg.chart--months').count(), 1);
    });

    test('it is explained, with who and when', async () => {
      await page.locator('#f-text').fill('Trouble at the underlying provider.\nMoved since.');
      await page.getByRole('button', { name: 'Save the explanation' }).click();
      await page.getByText(/Last written by /).waitFor();
      assert.match(await page.locator('ul.months').innerText(), /Trouble at the underlying provider/);
    });

    test('a wrong key is named with its remedy, and never shown', async () => {
      await page.goto(holdfast.url + PAGE);
      await page.locator('#f-address').fill(stub.url);
      await page.locator('#f-report').fill('Critical');
      await page.locator('#f-group').fill('SITES/CESGA');
      await page.locator('#f-since').fill(month(3));
      await page.locator('#f-secret-key').fill('very-secret-and-wrong');
      await page.getByRole('button', { name: 'Add the source' }).click();
      await page.waitForURL((u) => u.pathname === PAGE);
      await until('the refusal', 60, async () => {
        await page.reload();
        return (await page.locator('section[aria-labelledby=p-argo]').innerText()).includes('give a key that is valid');
      });
      assert.ok(!(await page.content()).includes('very-secret'));
    });

    test('figures are fetched, and the key is sealed', async () => {
      await page.locator('summary', { hasText: 'Settings' }).click();
      await page.locator('select[name="secrets[key][how]"]').selectOption('typed');
      await page.locator('#f-secret-key').fill(KEY);
      await page.getByRole('button', { name: 'Save the source' }).click();
      await page.waitForURL((u) => u.pathname === PAGE);
      await until('the figures', 60, async () => {
        await page.goto(`${holdfast.url}${PAGE}?from=${month(3)}&to=${month(0)}`);
        return (await page.locator('section[aria-labelledby=p-months]').innerText()).includes('88.50 %');
      });
      const text = await page.locator('section[aria-labelledby=p-months]').innerText();
      assert.match(text, /100\.00 %/);
      assert.match(text, /from ARGO/);
      assert.ok(stub.asked.some((a) => a.path === '/api/v2/results/Critical/SITES/CESGA' && a.granularity === 'monthly' && a.key === KEY));
      assert.ok(!(await page.content()).includes('very-secret'));
      for (const name of fs.readdirSync(holdfast.data)) {
        const file = path.join(holdfast.data, name);
        if (fs.statSync(file).isFile()) assert.ok(!fs.readFileSync(file).includes(KEY), `the key stands in ${name}`);
      }
    });

    test('of two figures one is chosen, and both are kept', async () => {
      await page.goto(`${holdfast.url}${PAGE}?month=${month(1)}`);
      await page.locator('#f-availability').fill('91');
      await page.locator('#f-reliability').fill('96');
      await page.getByRole('button', { name: 'Enter the month' }).click();
      await page.locator('#f-instead-error').waitFor();
      assert.match(await page.locator('#f-instead-error').innerText(), /88\.50 %/);
      await page.locator('input[name=instead]').check();
      await page.getByRole('button', { name: 'Enter the month' }).click();
      await page.waitForURL((u) => !u.searchParams.has('__err'));
      const figures = page.getByRole('region', { name: `Figures of ${month(1)}, table` });
      assert.match(await figures.locator('tbody tr').first().innerText(), /Entered by hand/);
      await figures.getByRole('button', { name: /Show this one/ }).click();
      await page.waitForURL((u) => u.searchParams.get('month') === month(1));
      assert.match(await figures.locator('tbody tr').first().innerText(), /From ARGO/);
      assert.equal(await figures.locator('tbody tr').count(), 2);
      await page.getByText('1 day by ARGO').click();
      await page.getByText(`${month(1)}-03`).waitFor();
    });

    test('the page is whole, narrow, and fit for everybody', async () => {
      const narrow = await visitor(browser, { js, width: 390, state: await v.context.storageState() });
      for (const at of [PAGE, `${PAGE}?month=2020-02`, `${PAGE}?month=${month(1)}`, `${PAGE}?from=2019-06&to=2020-05`]) {
        for (const w of [v, narrow]) {
          await w.page.goto(holdfast.url + at);
          assert.equal(await w.page.locator('h1').count(), 1, at);
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
