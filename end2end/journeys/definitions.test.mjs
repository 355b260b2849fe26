// A definition of a restore test as a person makes it: a value of a SQLite file, an address and a port are checked, a wrong value
// is red, put right and run again it is green, and history keeps both. Once with JavaScript and once without.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { USERS, axe, opened, overhang, until } from '../harness.mjs';

for (const js of [true, false]) {
  describe(js ? 'definitions, with JavaScript' : 'definitions, without JavaScript', () => {
    let holdfast, v, page, close;
    const person = USERS[0];

    const prepare = async (started) => {
      const file = path.join(started.dir, 'exports', person, 'data', 'app.db');
      const make = 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute("CREATE TABLE people AS SELECT 1 AS n UNION SELECT 2 UNION SELECT 3"); c.commit(); c.close()';
      execFileSync('python3', ['-c', make, file]);
      await started.cli('backup', 'notebooks');
    };
    before(async () => ({ holdfast, v, page, close } = await opened({ js, prepare })));
    after(() => close?.());

    const save = () => page.getByRole('button', { name: 'Save the definition' }).click();
    const fill = async (fields) => {
      for (const [name, value] of Object.entries(fields)) await page.locator(`main [name=${name}]`).fill(value);
    };

    /// Waits for the run of this page and opens its report.
    async function report(verdict) {
      await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
      const run = page.url();
      await until('the test to end', 60, async () => {
        await page.goto(run);
        return (await page.locator('a[href^="/tests/"]').count()) > 0;
      });
      await page.locator('main a[href^="/tests/"]').first().click();
      await page.waitForURL(/\/tests\/[0-9a-f-]{36}/);
      await page.locator('.page__meta').getByText(verdict).waitFor();
    }

    test('it is made from the Tests tab, check by check', async () => {
      await page.goto(`${holdfast.url}/services/notebooks/tests`);
      await page.getByRole('link', { name: 'New definition' }).click();
      await fill({ name: 'weekly', rto: '30m', count: '2' });
      await page.getByRole('button', { name: 'Add a value of a SQLite file' }).click();
      await fill({ c0_name: 'people', c0_item: person, c0_path: 'data/app.db', c0_statement: 'SELECT count(*) FROM people', c0_expected: '4' });
      await page.getByRole('button', { name: 'Add an address that answers' }).click();
      // What was typed is still there.
      assert.equal(await page.locator('[name=c0_expected]').inputValue(), '4');
      await fill({ c1_name: 'health', c1_url: `${holdfast.url}/healthz`, c1_status: '200' });
      await page.getByRole('button', { name: 'Add a port that takes a connection' }).click();
      await fill({ c2_name: 'door', c2_host: '127.0.0.1', c2_port: new URL(holdfast.url).port });
      await page.getByRole('button', { name: 'Add a command' }).click();
      await page.getByRole('button', { name: /^Drop this check 4/ }).click();
      if (js) assert.deepEqual(await axe(page), []);
      assert.equal(await overhang(page), 0);
      await save();
      await page.waitForURL(/\/services\/notebooks\/tests$/);
      await page.getByText('2 items at random').waitFor();
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('a mistake stands beside its field, and nothing typed is lost', async () => {
      await page.goto(`${holdfast.url}/services/notebooks/definitions/new?typed=1&selection=random&days=0&name=other&c0_kind=sqlite`);
      await fill({ c0_name: 'rows', c0_item: person, c0_path: '../escape.db', c0_statement: 'DROP TABLE people', c0_expected: '1' });
      await save();
      for (const words of ['Must be a number of days from 1 to 3660', "Must lead from the item's folder downwards", 'Must begin with SELECT or WITH']) {
        await page.getByText(words).first().waitFor();
      }
      assert.equal(await page.locator('[name=c0_statement]').inputValue(), 'DROP TABLE people');
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('a value that is not as expected fails the test', async () => {
      await page.goto(`${holdfast.url}/services/notebooks/tests`);
      await page.getByRole('button', { name: 'Start a test by weekly' }).click();
      await report('failed');
      const row = page.locator('section[aria-labelledby=p-checks] tr', { hasText: 'people: a value of a database' });
      assert.match(await row.innerText(), /gave 3, expected = 4/);
      await page.getByText('door: a port that takes a connection').waitFor();
      await page.getByText('looked for and not found').first().waitFor();
      if (js) assert.deepEqual(await axe(page), []);
    });

    test('put right and run again with the same snapshots it passes; history keeps both', async () => {
      const failed = page.url();
      await page.goto(`${holdfast.url}/services/notebooks/definitions/weekly`);
      await fill({ c0_expected: '3' });
      await save();
      await page.waitForURL(/\/services\/notebooks\/tests$/);
      await page.goto(failed);
      await page.getByRole('button', { name: 'With the same snapshots' }).click();
      await report('passed');
      await page.goto(`${holdfast.url}/tests?service=notebooks&definition=weekly`);
      assert.equal(await page.locator('#list tbody tr').count(), 2);
      await page.locator('#h-verdict').selectOption('failed');
      await page.locator('form[aria-label="Filter the history"]').getByRole('button', { name: 'Apply' }).click();
      await page.waitForURL(/verdict=failed/);
      assert.equal(await page.locator('#list tbody tr').count(), 1);
      await page.goto(`${holdfast.url}/services/notebooks`);
      assert.doesNotMatch(await page.locator('.page__meta').innerText(), /restore.*failed/i);
    });

    test('a schedule can test by it, and keeps it from being removed', async () => {
      await page.goto(`${holdfast.url}/schedules/new?kind=restore_test&of=notebooks&name=tests&m=0&h=4&dow=SUN`);
      await page.locator('#schedule [name=definition]').fill('weekly');
      await page.getByRole('button', { name: 'Save the schedule' }).click();
      await page.waitForURL(/\/schedules\/tests$/);
      await page.goto(`${holdfast.url}/services/notebooks/definitions/weekly`);
      await page.getByText('The schedule tests tests by it, so it stays.').waitFor();
    });

    test('nothing went wrong on the way', () => assert.deepEqual(v.complaints, []));
  });
}
