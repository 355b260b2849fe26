// A continuity plan as its owner meets it: begun, written, changed by two at once, imported, submitted, signed, approved,
// compared and exported. Once with JavaScript, where a draft saves itself, and once without.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, until, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'plans, with JavaScript' : 'plans, without JavaScript', () => {
    let holdfast, browser, v, page, other, close, plan;

    before(async () => {
      ({ holdfast, browser, v, page, close } = await opened({ js }));
      other = await visitor(browser, { js, width: 390, state: await v.context.storageState() });
      plan = `${holdfast.url}/services/notebooks/plan`;
    });
    after(async () => {
      await other?.close();
      await close?.();
    });

    const save = async (on) => {
      await on.getByRole('button', { name: 'Save the draft' }).click();
      await on.waitForURL((u) => u.pathname.endsWith('/plan/edit'));
    };

    test('it is begun from the rail, with what is promised in it', async () => {
      await page.goto(holdfast.url);
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: /Plans and risks/ }).click();
      await page.getByRole('link', { name: 'Notebooks of the faculty' }).click();
      await page.getByText('No plan yet').waitFor();
      await page.getByRole('button', { name: 'Begin with the empty form' }).click();
      await page.waitForURL((u) => u.pathname.endsWith('/plan/edit'));
      assert.deepEqual([await page.getByLabel('RTO', { exact: true }).inputValue(), await page.getByLabel('MTPoD', { exact: true }).inputValue()], ['1 d', '2 d']);
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
    });

    test(js ? 'it saves itself while one types' : 'it is saved by its button', async () => {
      await page.getByLabel('Introduction', { exact: true }).fill('Each **risk** is listed. <script>alert(1)</script>');
      await page.getByLabel('Title').first().fill('Restore the homes');
      if (js) await page.locator('#plan-says').getByText(/^Saved \d\d:\d\d/).waitFor();
      else await save(page);
      await page.goto(plan);
      const intro = page.locator('section#intro');
      assert.equal(await intro.locator('strong').innerText(), 'risk');
      assert.equal(await intro.locator('script').count(), 0);
      assert.match(await page.locator('section#info').innerText(), /Restore the homes/);
    });

    test('of two who change the same field, the second one is shown both texts', async () => {
      const edit = `${plan}/edit`;
      await page.goto(edit);
      await other.page.goto(edit);
      await other.page.getByLabel('Outcome', { exact: true }).fill('Theirs');
      if (js) await other.page.locator('#plan-says').getByText(/^Saved/).waitFor();
      else await save(other.page);

      await page.getByLabel('Outcome', { exact: true }).fill('Mine');
      if (js) {
        const both = page.locator('#plan-both');
        await both.getByText('Their text stands').waitFor();
        assert.match(await both.innerText(), /Theirs/);
        assert.deepEqual(await axe(page), []);
        await both.getByRole('button', { name: 'Put theirs below mine' }).click();
        await page.locator('#plan-says').getByText(/^Saved/).waitFor();
        assert.equal(await page.getByLabel('Outcome', { exact: true }).inputValue(), 'Mine\n\nTheirs');
        await until('both texts to be saved', 10, async () => {
          await other.page.goto(edit);
          return (await other.page.getByLabel('Outcome', { exact: true }).inputValue()) === 'Mine\n\nTheirs';
        });
      } else {
        await page.getByRole('button', { name: 'Save the draft' }).click();
        await page.getByText('Somebody else was first').first().waitFor();
        assert.match(await page.locator('section[aria-labelledby=p-stale]').innerText(), /Outcome\s+Theirs\s+Mine/);
        assert.equal(await page.getByLabel('Outcome', { exact: true }).inputValue(), 'Mine');
        await page.getByLabel('Outcome', { exact: true }).fill('Mine\n\nTheirs');
        await save(page);
      }
      await page.goto(plan);
      assert.match(await page.locator('section#outcome').innerText(), /Mine\s+Theirs/);
    });

    test('a plan of another format is refused, one that can be read is tried first', async () => {
      await page.goto(`${plan}/import`);
      await page.getByLabel('The plan', { exact: true }).fill('{"format": 2, "rto": "1 d"}');
      await page.getByRole('button', { name: 'Show what would change' }).click();
      await page.getByText(/reads format 1/).waitFor();
      await page.getByLabel('The plan', { exact: true }).fill('{"format": 1, "rto": "one day"}');
      await page.getByRole('button', { name: 'Show what would change' }).click();
      await page.getByText(/is not a duration/).waitFor();
      const text = {
        format: 1, introduction: 'Imported', outcome: 'Mine', mtpod: '2 d', rto: '1 d', rpo: '1 d', support_unit: 'Notebooks', contact: 'A ticket',
        procedures: [{ title: 'Restore the homes', text: 'As the manual says.' }],
      };
      await page.getByLabel('The plan', { exact: true }).fill(JSON.stringify(text));
      await page.getByRole('button', { name: 'Show what would change' }).click();
      await page.getByText('nothing is saved yet').waitFor();
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByRole('button', { name: 'Save it as the draft' }).click();
      await page.getByText('The plan was imported').waitFor();
    });

    test('it is signed by different people, and returned with a reason', async () => {
      await page.goto(plan);
      await page.getByLabel(/What is new/).fill('first version');
      await page.getByRole('button', { name: 'Submit for review' }).click();
      await page.getByRole('checkbox', { name: /agree as Service owner/ }).check();
      await page.getByRole('button', { name: 'Sign as Service owner' }).click();
      await page.getByText(/signed \d+ /).first().waitFor();
      const section = page.locator('section#signoff');
      assert.match(await section.innerText(), /Nobody has signed as Continuity office/);
      assert.equal(await page.getByRole('button', { name: /^Sign as|^Approve/ }).count(), 0, 'one person signs once, and nothing can be approved yet');
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByRole('link', { name: 'Return to draft' }).click();
      const dialog = page.locator('dialog:visible');
      await dialog.getByLabel('Reason').fill('one signs for now');
      await dialog.getByRole('button', { name: 'Return it to draft' }).click();
      await page.getByRole('link', { name: 'Edit the draft' }).waitFor();
      assert.match(await page.locator('section#hist').innerText(), /returned to draft: one signs for now/);
    });

    test('an admin says who signs', async () => {
      await page.goto(`${holdfast.url}/plans`);
      const signers = page.locator('section[aria-labelledby=p-signers]');
      await signers.getByLabel('Role 2', { exact: true }).fill('Service owner');
      await signers.getByRole('button', { name: 'Save who signs' }).click();
      await signers.getByText('Stands there twice; remove one', { exact: true }).waitFor();
      assert.equal(await signers.getByLabel('Role 2', { exact: true }).inputValue(), 'Service owner', 'what was typed is there');
      assert.ok(await signers.getByLabel(/\(role 1\)/).isChecked());
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
      await signers.getByLabel('Role 2', { exact: true }).fill('');
      await signers.getByRole('button', { name: 'Save who signs' }).click();
      await signers.getByText('signed it as: Service owner.').waitFor();
      await other.page.goto(`${holdfast.url}/plans`);
      assert.equal(await overhang(other.page), 0);
    });

    test('signed by whoever has to, it is approved and locked', async () => {
      // That nothing was ever tested stops the approval until somebody takes it upon themselves.
      const waiver = { finding: 'never-tested', reason: 'planned', until: new Date(Date.now() + 86400000).toISOString().slice(0, 10) };
      const waived = await page.request.post(`${holdfast.url}/api/v1/services/notebooks/waivers`, { data: waiver });
      assert.equal(waived.status(), 201, await waived.text());
      await page.goto(plan);
      await page.getByRole('button', { name: 'Submit for review' }).click();
      await page.getByRole('checkbox', { name: /agree as Service owner/ }).check();
      await page.getByRole('button', { name: 'Sign as Service owner' }).click();
      await page.getByRole('button', { name: 'Approve version 1' }).click();
      await page.getByRole('button', { name: 'Begin a new draft' }).waitFor();
      assert.equal(await page.getByRole('link', { name: 'Edit the draft' }).count(), 0);
    });

    test('a new draft begins as a copy, and the difference is marked word by word', async () => {
      await page.goto(plan);
      await page.getByRole('button', { name: 'Begin a new draft' }).click();
      await page.waitForURL((u) => u.pathname.endsWith('/plan/edit'));
      await page.getByLabel('Introduction', { exact: true }).fill('Imported and improved');
      await save(page);
      await page.goto(plan);
      await page.getByRole('link', { name: 'Differences' }).click();
      assert.match(await page.locator('main ins').first().innerText(), /and improved/);
      assert.equal(await overhang(page), 0);
      if (js) assert.deepEqual(await axe(page), []);
      await page.getByRole('link', { name: 'All versions' }).first().click();
      await page.getByText('as a copy of v1').waitFor();
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('it is exported in four formats', async () => {
      const heads = { pdf: /^%PDF-/, html: /^<!doctype html>/, markdown: /^# Availability and continuity plan/, json: /^\{/ };
      for (const [format, head] of Object.entries(heads)) {
        const answer = await page.request.get(`${holdfast.url}/api/v1/services/notebooks/plan/export?format=${format}&version=1`);
        assert.equal(answer.status(), 200, format);
        assert.match(await answer.text(), head, format);
      }
    });

    test('a month that was measured stands on one line', async () => {
      const now = new Date();
      const month = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString().slice(0, 7);
      const data = { availability: 99.5, reliability: 99.5 };
      const answer = await page.request.put(`${holdfast.url}/api/v1/services/notebooks/availability/${month}`, { data });
      assert.ok(answer.ok(), await answer.text());
      await other.page.goto(plan);
      const head = other.page.locator('section#perf').getByRole('rowheader', { name: month }).first();
      assert.equal(await head.evaluate((e) => getComputedStyle(e).whiteSpace), 'nowrap');
    });

    test('a draft is discarded with a reason; the approved version stays', async () => {
      await page.goto(plan);
      await page.getByRole('link', { name: 'Discard the draft' }).click();
      const dialog = page.locator('dialog:visible');
      await dialog.getByLabel('Reason').fill('begun too early');
      await dialog.getByRole('button', { name: 'Discard the draft' }).click();
      await page.getByRole('button', { name: 'Begin a new draft' }).waitFor();
      await page.goto(`${plan}?v=1`);
      assert.match(await page.locator('section#intro').innerText(), /Imported/);
    });

    test('nothing was complained of', () => {
      assert.deepEqual([...v.complaints, ...other.complaints], []);
    });
  });
}
