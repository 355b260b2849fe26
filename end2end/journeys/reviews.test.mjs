// Reviews as an owner meets them: one of the past is recorded and turns out to be overdue, one of today puts it right,
// another one is exempt for a while, and a calendar program reads what is due. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, session, visitor } from '../harness.mjs';

const day = (offset) => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);

for (const js of [true, false]) {
  describe(js ? 'reviews, with JavaScript' : 'reviews, without JavaScript', () => {
    let holdfast, browser, v, page, close, address;

    before(async () => ({ holdfast, browser, v, page, close } = await opened({ js })));
    after(async () => {
      await close?.();
      assert.deepEqual(v.complaints, []);
    });

    const words = () => page.locator('main').innerText();
    const panel = (id) => page.locator(`section[aria-labelledby=p-${id}]`);

    async function record(on, by, outcome) {
      await panel('record').getByLabel('Done on').fill(on);
      await panel('record').getByLabel('By').fill(by);
      await panel('record').getByLabel('Outcome').fill(outcome);
      await panel('record').getByRole('button', { name: 'Record the review' }).click();
    }

    test('the calendar says what was never done, and leads to it', async () => {
      await page.goto(holdfast.url);
      await page.locator('nav.rail').getByRole('link', { name: 'Reviews' }).click();
      await page.waitForURL(/\/reviews$/);
      await page.getByText('No review is overdue').waitFor();
      assert.match(await words(), /never done, not due yet/);
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByRole('link', { name: 'Risk assessment of Notebooks of the faculty' }).click();
      await page.waitForURL(/\/services\/notebooks\/reviews\/risk_assessment$/);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('a review of the future is refused beside the field, and what was typed is still there', async () => {
      await record(day(2), 'Olga Owner', 'Eight risks, all in order.');
      await page.getByText(/is in the future/).first().waitFor();
      assert.equal(await page.getByLabel('By').inputValue(), 'Olga Owner');
      assert.equal(await page.getByLabel('Outcome').inputValue(), 'Eight risks, all in order.');
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('one of the past makes it overdue, which the calendar shows first', async () => {
      await record('2019-05-28', 'Olga Owner', 'Eight risks.\nRisk 5 is to be rated anew.');
      await page.waitForURL(/\/reviews\/risk_assessment$/);
      assert.match(await words(), /28 May 2020[\s\S]*28 May 2019/);
      assert.match(await words(), /overdue by \d+ days/);
      await page.goto(`${holdfast.url}/reviews`);
      await panel('overdue').getByRole('link', { name: 'Risk assessment of Notebooks of the faculty' }).waitFor();
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('an exemption says why and until when, and ends by hand', async () => {
      await page.goto(`${holdfast.url}/services/notebooks/reviews/risk_assessment`);
      await panel('exempt').getByLabel('Until').fill(day(40));
      await panel('exempt').getByLabel('Reason').fill('the service is being replaced');
      await panel('exempt').getByRole('button', { name: 'Exempt it' }).click();
      await page.locator('.page__meta').getByText(/exempt until/).waitFor();
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByRole('button', { name: 'End the exemption now' }).click();
      await page.locator('.page__meta').getByText(/overdue by/).waitFor();
    });

    test('how often can be said, and one of today puts it right', async () => {
      await panel('often').getByLabel('Months').fill('6');
      await panel('often').getByRole('button', { name: 'Save' }).click();
      await page.getByText('every 6 months').waitFor();
      await record(day(0), 'Olga Owner', 'All in order.');
      await page.locator('.page__meta').getByText('done, not due yet').waitFor();
      await page.goto(`${holdfast.url}/services/notebooks`);
      await page.locator('nav.tabs').getByRole('link', { name: 'Reviews' }).click();
      await page.waitForURL(/\/services\/notebooks\/reviews$/);
      assert.match(await words(), /Nobody has completed a restore/);
      assert.match(await panel('history').innerText(), /Risk 5 is to be rated anew/);
      if (js) assert.deepEqual(await axe(page), []);
      await page.goto(`${holdfast.url}/audit?action=review.record`);
      await page.getByText('review.record').first().waitFor();
    });

    test('one recorded by mistake is withdrawn: the history keeps it, and the one before counts again', async () => {
      await page.goto(`${holdfast.url}/services/notebooks/reviews/risk_assessment`);
      await panel('withdraw').getByLabel('Which one').selectOption({ index: 0 });
      await panel('withdraw').getByLabel('What was wrong').fill(' ');
      await panel('withdraw').getByRole('button', { name: 'Withdraw it' }).click();
      await panel('withdraw').getByText(/say what was wrong with it/).waitFor();
      assert.equal(await panel('exempt').locator('.field__error').count(), 0, 'it is said in its own form alone');
      if (js) assert.deepEqual(await axe(page), []);
      await panel('withdraw').getByLabel('What was wrong').fill('it was of another service');
      await panel('withdraw').getByRole('button', { name: 'Withdraw it' }).click();
      await page.locator('.page__meta').getByText(/overdue by/).waitFor();
      assert.match(await panel('history').innerText(), /All in order\.\s+withdrawn\s+by .+: it was of another service/);
      assert.equal(await panel('withdraw').locator('option').count(), 1);
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('a calendar program reads it at a secret address, without a session', async () => {
      await page.goto(`${holdfast.url}/reviews`);
      await page.getByRole('link', { name: 'In your calendar' }).click();
      await page.waitForURL(/\/reviews\/calendar$/);
      await page.getByLabel('Name').fill('phone');
      await page.getByRole('button', { name: 'Make the address' }).click();
      address = await page.locator('code.token').innerText();
      assert.match(address, /^https?:\/\/\S+\/calendar\/hfc_[0-9a-f]{64}\.ics$/);
      assert.ok(!page.url().includes('hfc_'), 'an address of a page holds no secret');
      if (js) assert.deepEqual(await axe(page), []);
      await page.reload();
      await page.getByRole('rowheader', { name: 'phone' }).waitFor();
      assert.ok(!(await page.content()).includes('hfc_'), 'it is shown once');
      const answer = await fetch(holdfast.url + new URL(address).pathname);
      assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'text/calendar; charset=utf-8']);
      const text = await answer.text();
      assert.equal(text.match(/BEGIN:VEVENT\r\n/g).length, 2);
      assert.match(text, /SUMMARY:Notebooks of the faculty: risk assessment\r\n/);
      const wrong = await fetch(`${holdfast.url}/calendar/hfc_${'0'.repeat(64)}.ics`, { redirect: 'manual' });
      assert.equal(wrong.status, 404);
    });

    test('revoked, the address shows nothing', async () => {
      await page.getByRole('button', { name: 'Revoke phone' }).click();
      await page.getByText('revoked').waitFor();
      assert.equal((await fetch(holdfast.url + new URL(address).pathname)).status, 404);
      assert.ok(!holdfast.log().includes(address.split('/').pop().replace('.ics', '')), 'the log holds no secret');
    });

    test('light, dark and on a phone', async () => {
      const state = await session(holdfast, browser);
      for (const options of [{}, { dark: true }, { width: 390 }]) {
        const w = await visitor(browser, { js, state, ...options });
        for (const path of ['/reviews', '/reviews/calendar', '/services/notebooks/reviews', '/services/notebooks/reviews/plan_and_test']) {
          await w.page.goto(holdfast.url + path);
          assert.equal(await overhang(w.page), 0, path);
          if (js) assert.deepEqual(await axe(w.page), [], path);
        }
        assert.deepEqual(w.complaints, []);
        await w.close();
      }
    });
  });
}
