// Risks as an owner keeps them: an old plan's risk that contradicts itself, put right; a measure whose proof breaks; all
// risks in one form by keyboard; two editors at once; a scale of one's own. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { axe, opened, overhang, visitor } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'risks, with JavaScript' : 'risks, without JavaScript', () => {
    let holdfast, browser, v, page, other, close, base;

    const clean = async (of = page) => {
      if (js) assert.deepEqual(await axe(of), []);
      assert.equal(await overhang(of), 0);
    };
    const rate = async (name, step) => page.locator('fieldset', { has: page.locator(`input[name=${name}]`) }).locator('label', { hasText: new RegExp(`^${step} `) }).click();
    const add = async (description, likelihood, impact) => {
      await page.goto(`${base}/new`);
      await page.locator('#f-description').fill(description);
      await rate('likelihood', likelihood);
      await rate('impact', impact);
    };
    const row = (n, part) => page.getByLabel(`${part} of risk ${n}`);

    before(async () => {
      ({ holdfast, browser, v, page, close } = await opened({ js }));
      base = `${holdfast.url}/services/notebooks/risks`;
      other = await visitor(browser, { js, width: 390, state: await v.context.storageState() });
    });
    after(async () => {
      await other?.close();
      await close?.();
    });

    test('a grave risk needs a treatment, an owner and a date, and nothing typed is lost', async () => {
      await page.goto(`${holdfast.url}/services/notebooks`);
      await page.getByRole('link', { name: 'Risks', exact: true }).click();
      await page.getByRole('link', { name: 'Add a risk' }).click();
      await page.locator('#f-description').fill('Key staff are not available');
      await rate('likelihood', 3);
      await rate('impact', 2);
      await page.locator('#f-stated_level').selectOption('Medium');
      await page.getByRole('button', { name: 'Add the risk' }).click();
      await page.locator('.field__error').first().waitFor();
      assert.match(await page.locator('form[action$=save-risk]').innerText(), /needs a treatment, an owner and a due date/);
      assert.equal(await page.locator('#f-description').inputValue(), 'Key staff are not available');
      await clean();
      await page.locator('#f-treatment').selectOption('reduce');
      await page.locator('#f-owner').fill('notebooks-ops');
      await page.locator('#f-due').fill('2031-05-31');
      await page.getByRole('button', { name: 'Add the risk' }).click();
      await page.waitForURL((u) => u.pathname === '/services/notebooks/risks/1');
      await page.getByText('Stated Medium, but the rating is 6, which is High').waitFor();
    });

    test('a proof that is broken makes the risk red and says why', async () => {
      await page.goto(`${base}/1`);
      await page.getByLabel('Measure 1', { exact: true }).fill('Restores are tested');
      await page.getByLabel('What proves measure 1').selectOption('restore_tests');
      await page.getByLabel('Measure 2', { exact: true }).fill('Backup every night');
      await page.getByLabel('What proves measure 2').selectOption('schedule:nightly');
      await page.getByRole('button', { name: 'Save risk 1' }).click();
      await page.waitForURL((u) => u.pathname === '/services/notebooks/risks/1' && !u.search);
      await page.getByText('Restores are tested: never restored').first().waitFor();
      assert.match(await page.locator('section[aria-labelledby=p-history]').innerText(), /measures:/);
      await clean();
      await page.goto(base);
      await page.locator('table.matrix .pip', { hasText: '1' }).waitFor();
      await page.getByText('The same as a table').first().click();
      await page.getByRole('row', { name: '3 likely 2 moderate 6 high 1' }).waitFor();
      await clean();
    });

    test('all risks are changed in one form by keyboard, all or none', async () => {
      await add('The data centre burns', 1, 2);
      await page.getByRole('button', { name: 'Add the risk' }).click();
      await page.waitForURL((u) => u.pathname === '/services/notebooks/risks/2');
      await page.goto(`${base}/edit`);
      await row(1, 'Likelihood').focus();
      await page.keyboard.press('ArrowDown');
      assert.equal(await row(1, 'Likelihood').inputValue(), '2');
      await page.keyboard.press('Tab');
      assert.equal(await row(1, 'Impact').evaluate((e) => e === document.activeElement), true, 'Tab goes to the next cell');
      await row(2, 'Impact').fill('9');
      await page.keyboard.press('Enter');
      await page.getByText('9 is not on the scale 2021; give a number from 1 to 4').first().waitFor();
      assert.deepEqual([await row(1, 'Likelihood').inputValue(), await row(2, 'Impact').inputValue()], ['2', '9'], 'what was typed is there');
      await clean();
      await row(2, 'Impact').fill('3');
      await page.getByRole('button', { name: 'Save all' }).click();
      await page.waitForURL((u) => u.pathname === '/services/notebooks/risks');
      assert.match(await page.locator('section[aria-labelledby=p-risks]').innerText(), /medium 4[\s\S]*medium 3/);
    });

    test('of two editors the second is told, sees both, and what they left alone overwrites nothing', async () => {
      await page.goto(`${base}/edit`);
      await other.page.goto(`${base}/edit`);
      await other.page.getByLabel('Owner of risk 2').fill('fire brigade');
      await other.page.getByRole('button', { name: 'Save all' }).click();
      await other.page.waitForURL((u) => u.pathname === '/services/notebooks/risks');
      assert.equal(await overhang(other.page), 0);
      // Only the other row was touched: it is saved, and theirs stays.
      await row(1, 'Owner').fill('night shift');
      await page.getByRole('button', { name: 'Save all' }).click();
      await page.waitForURL((u) => u.pathname === '/services/notebooks/risks');
      await page.goto(`${base}/edit`);
      assert.equal(await row(2, 'Owner').inputValue(), 'fire brigade');

      await other.page.goto(`${base}/edit`);
      await other.page.getByLabel('Owner of risk 2').fill('ladder company');
      await other.page.getByRole('button', { name: 'Save all' }).click();
      await other.page.waitForURL((u) => u.pathname === '/services/notebooks/risks');
      await row(2, 'Owner').fill('bucket chain');
      await page.getByRole('button', { name: 'Save all' }).click();
      await page.getByText('Somebody else was first').first().waitFor();
      assert.match(await page.locator('section[aria-labelledby=p-stale]').innerText(), /Risk 2, owner\s+ladder company\s+bucket chain/);
      assert.equal(await row(2, 'Owner').inputValue(), 'bucket chain');
      await clean();
      await page.getByRole('button', { name: 'Save all' }).click();
      await page.waitForURL((u) => u.pathname === '/services/notebooks/risks');
      await page.getByText('bucket chain').first().waitFor();
    });

    test('the editor of one risk, too', async () => {
      await page.goto(`${base}/2`);
      await other.page.goto(`${base}/2`);
      await other.page.locator('#f-comment').fill('seen in March');
      await other.page.getByRole('button', { name: 'Save risk 2' }).click();
      await other.page.waitForURL((u) => u.pathname === '/services/notebooks/risks/2' && !u.search);
      await page.locator('#f-downtime').fill('up to 1 working day');
      await page.getByRole('button', { name: 'Save risk 2' }).click();
      await page.getByText('Somebody else was first').first().waitFor();
      assert.equal(await page.locator('#f-downtime').inputValue(), 'up to 1 working day');
      assert.match(await page.locator('section[aria-labelledby=p-stale]').innerText(), /Comment\s+seen in March\s+empty/);
    });

    test('a scale that does not cover every product is refused, and a right one is a new version', async () => {
      await page.goto(`${holdfast.url}/scales`);
      await page.getByRole('link', { name: '2021', exact: true }).click();
      await page.locator('#f-bands').fill('Low 1-2\nMedium 3-4\nHigh 8-9\nExtreme 12-16');
      await page.getByRole('button', { name: 'Save as a new version' }).click();
      await page.getByText('no level holds the product 6').first().waitFor();
      assert.match(await page.locator('#f-bands').inputValue(), /High 8-9/);
      await page.locator('#f-bands').fill('Low 1-2\nMedium 3-6\nHigh 8-9\nExtreme 12-16');
      await page.getByRole('button', { name: 'Save as a new version' }).click();
      await page.waitForURL((u) => u.pathname === '/scales');
      await page.getByRole('link', { name: '2021 v2' }).waitFor();
      await clean();
      // What was rated before keeps its version.
      await page.goto(base);
      await page.getByRole('heading', { name: 'Matrix, scale 2021', exact: true }).waitFor();
    });

    test('a risk is retired with a reason', async () => {
      await page.goto(`${base}/2`);
      await page.getByRole('link', { name: 'Retire this risk' }).click();
      await page.locator('#retire-reason').fill('the service left that building');
      await page.getByRole('button', { name: 'Retire it' }).click();
      await page.waitForURL((u) => u.pathname === '/services/notebooks/risks');
      assert.equal(await page.getByText('The data centre burns').count(), 0);
      await page.getByRole('link', { name: 'Also show risks that were retired' }).click();
      await page.getByText('the service left that building').waitFor();
    });

    test('nothing went wrong on the way', () => {
      assert.deepEqual(v.complaints, []);
      assert.deepEqual(other.complaints, []);
    });
  });
}
