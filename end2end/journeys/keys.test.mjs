// What the keyboard does: the palette, rows, the filter, the help, the tree of files; what it leaves alone; and that
// without scripts each of these is reached by a link or a form.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { USERS, axe, launch, session, start, until, visitor } from '../harness.mjs';

describe('the keyboard', () => {
  let holdfast, browser, state, v, page;
  const where = () => new URL(page.url()).pathname + new URL(page.url()).search;
  const here = (what) => page.evaluate(what);
  const focused = () => here(() => (document.activeElement.closest('tr, li') ?? document.activeElement).innerText.replace(/\s+/g, ' ').trim());
  /// The page, with its islands awake.
  const go = async (to) => {
    await page.goto(holdfast.url + to);
    await awake();
  };
  const awake = () => page.locator('html[data-awake]').waitFor();
  const rows = () => page.locator('table.treegrid tbody tr:not([hidden])');

  before(async () => {
    holdfast = await start();
    const home = path.join(holdfast.dir, 'exports', USERS[0]);
    fs.mkdirSync(path.join(home, 'work/deep/deeper'), { recursive: true });
    fs.writeFileSync(path.join(home, 'work/deep/deeper/found.txt'), 'here');
    fs.mkdirSync(path.join(home, 'nothing inside'));
    await holdfast.cli('backup', 'notebooks');
    browser = await launch();
    state = await session(holdfast, browser);
    v = await visitor(browser, { state });
    page = v.page;
  });
  after(async () => {
    await browser?.close();
    await holdfast?.stop();
  });

  const palette = () => page.locator('#palette');
  const chosen = () => page.locator('#palette [role=option][aria-selected=true]');
  const ask = async (text) => {
    await palette().getByRole('combobox').fill(text);
    await page.locator(`#palette-list[aria-label=${JSON.stringify(`Results for “${text}”`)}]`).waitFor({ state: 'attached' });
  };

  test('Ctrl K finds a service, and Enter goes there', async () => {
    await go('/people');
    await page.keyboard.press('Control+k');
    await palette().getByRole('combobox').waitFor();
    await chosen().waitFor();
    assert.equal(await here(() => document.activeElement.getAttribute('role')), 'combobox');
    assert.deepEqual(await axe(page), []);
    await ask('faculty');
    assert.match(await chosen().innerText(), /Notebooks of the faculty/);
    assert.equal(await palette().getByRole('combobox').getAttribute('aria-activedescendant'), await chosen().getAttribute('id'));
    assert.match(await palette().getByRole('status').innerText(), /^\d+ results$/);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/services/notebooks');
  });

  test('what was opened last comes first, for the same person alone', async () => {
    await go('/services/notebooks');
    await go('/runs');
    await page.keyboard.press('Control+k');
    await chosen().waitFor();
    assert.match(await chosen().innerText(), /Notebooks of the faculty/);
    assert.equal(await page.locator('#palette a[href="/services/notebooks"]').count(), 1, 'it is listed twice');
    await page.evaluate(() => localStorage.setItem('holdfast-recent', JSON.stringify(['somebody else', '/services/secret', 'Secret'])));
    await go('/runs');
    await page.keyboard.press('Control+k');
    await chosen().waitFor();
    assert.equal(await palette().getByText('Secret').count(), 0);
  });

  test('people, snapshots by id, pages; arrows go round; Escape gives the focus back', async () => {
    await go('/people');
    await page.locator('a.rowlink').first().focus();
    await page.keyboard.press('Control+k');
    await chosen().waitFor();
    await ask('bob');
    assert.match(await chosen().innerText(), /bob-2eclark/);
    const { snapshots } = JSON.parse((await holdfast.cli('snapshots', '--json')).trim().split('\n').at(-1));
    const id = snapshots[0].snapshot;
    await ask(id.slice(0, 8));
    assert.equal(await page.locator('#palette a[href^="/snapshots/"]').count(), 1);
    await ask('tests');
    const first = await chosen().innerText();
    await page.keyboard.press('ArrowUp');
    const n = await page.locator('#palette [role=option]').count();
    if (n > 1) assert.notEqual(await chosen().innerText(), first);
    await page.keyboard.press('ArrowDown');
    assert.equal(await chosen().innerText(), first);
    await ask('<img src=x>');
    assert.match(await page.locator('.palette__none').innerText(), /<img src=x>/);
    await page.keyboard.press('Escape');
    await palette().waitFor({ state: 'hidden' });
    assert.equal(await here(() => document.activeElement.className), 'rowlink');
  });

  test('a deed is done by its verb', async () => {
    await go('/snapshots');
    await page.keyboard.press('Control+k');
    await chosen().waitFor();
    await ask('back up faculty');
    assert.match(await chosen().innerText(), /Back up Notebooks of the faculty now/);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/runs/*');
    // Again while it runs, or again after it: either the run's page, or the reason on the page we were on.
    await page.locator('#run-status', { hasText: 'succeeded' }).waitFor({ timeout: 60_000 });
  });

  test('j, k and Enter walk through a table; x ticks', async () => {
    await go('/people');
    await page.keyboard.press('j');
    assert.match(await focused(), /alice/);
    await page.keyboard.press('j');
    assert.match(await focused(), /bob/);
    await page.keyboard.press('k');
    assert.match(await focused(), /alice/);
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/people/${USERS[0]}`);
    await go('/snapshots');
    for (const key of ['j', 'x', 'j', 'x']) await page.keyboard.press(key);
    assert.equal(await page.locator('input[name=s]:checked').count(), 2);
    await page.keyboard.press('x');
    assert.equal(await page.locator('input[name=s]:checked').count(), 1);
  });

  test('/ filters, and a field keeps its letters', async () => {
    await go('/people');
    await page.keyboard.press('/');
    assert.equal(await here(() => document.activeElement.id), 'pq');
    await page.keyboard.type('jx?/k');
    assert.equal(await page.locator('#pq').inputValue(), 'jx?/k');
    assert.equal(await page.locator('#help').isVisible(), false);
    await go('/tests');
    await page.keyboard.press('/');
    assert.ok(await here(() => document.activeElement.matches('input, select')));
  });

  test('? shows the help; closing it gives the focus back', async () => {
    await go('/runs');
    await page.keyboard.press('j');
    const before = await focused();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
    assert.deepEqual(await axe(page), []);
    await page.keyboard.press('j');
    await page.keyboard.press('Escape');
    assert.equal(await focused(), before);
  });

  test('single keys can be switched off; the palette stays', async () => {
    await go('/people');
    await page.locator('details.menu summary').click();
    await page.getByText('Off', { exact: true }).click();
    await page.getByRole('button', { name: 'Save' }).click();
    await page.waitForURL('**/people');
    await awake();
    await page.keyboard.press('j');
    await page.keyboard.press('?');
    assert.equal(await here(() => document.activeElement === document.body), true);
    assert.equal(await page.locator('#help').isVisible(), false);
    await page.keyboard.press('Control+k');
    await chosen().waitFor();
    await page.keyboard.press('Escape');
    await page.locator('details.menu summary').click();
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('details.menu').getAttribute('open'), null);
    await page.locator('details.menu summary').click();
    await page.getByText('On', { exact: true }).click();
    await page.getByRole('button', { name: 'Save' }).click();
    await awake();
    await page.keyboard.press('j');
    assert.match(await focused(), /alice/);
  });

  test('the tree: arrows open, close and move; Space ticks; one row is in the order of Tab', async () => {
    await go(`/people/${USERS[0]}`);
    await page.locator('a[href^="/snapshots/"]').first().click();
    await page.locator('table[role=treegrid]').waitFor();
    assert.deepEqual(await axe(page), []);
    const name = () => here(() => (document.activeElement.querySelector('.rowlink') ?? document.activeElement).textContent);
    const expect = async (words) => assert.match(await name(), words);
    const top = await rows().count();
    assert.equal(await page.locator('table.treegrid tbody tr[tabindex="0"]').count(), 1);
    await rows().first().focus();
    await page.keyboard.press('End');
    await expect(/^latest.csv/);
    await page.keyboard.press('ArrowUp');
    await expect(/^work/);
    await page.keyboard.press('ArrowRight');
    await until('the folder to open', 10, async () => (await rows().count()) > top);
    const row = page.locator('tr[aria-expanded=true]');
    assert.equal(await row.count(), 1);
    await page.keyboard.press('ArrowRight');
    await expect(/^deep$/);
    assert.deepEqual(await here(() => ['aria-level', 'aria-posinset', 'aria-setsize'].map((a) => document.activeElement.getAttribute(a))), ['2', '1', '3']);
    await page.keyboard.press('ArrowRight');
    await page.getByRole('link', { name: 'deeper' }).waitFor();
    await page.keyboard.press('ArrowDown');
    await expect(/^deeper/);
    await page.keyboard.press(' ');
    assert.equal(await here(() => document.activeElement.getAttribute('aria-selected')), 'true');
    assert.equal(await page.locator('#picked').innerText(), '1 ticked');
    assert.deepEqual(await axe(page), []);
    await page.keyboard.press('ArrowLeft');
    await expect(/^deep/);
    await page.keyboard.press('ArrowLeft');
    assert.equal(await page.getByRole('link', { name: 'deeper' }).isVisible(), false);
    await page.keyboard.press('ArrowLeft');
    await expect(/^work/);
    await page.keyboard.press('ArrowLeft');
    assert.equal(await rows().count(), top);
    // Opened again it is as it was: the folder inside stays closed, its tick stays.
    await page.keyboard.press('ArrowRight');
    assert.equal(await rows().count(), top + 3);
    assert.equal(await page.locator('input[name=p]:checked').count(), 1);
    await page.keyboard.press('Home');
    await expect(/^data/);
    assert.equal(await page.locator('table.treegrid tbody tr[tabindex="0"]').count(), 1);
    await page.keyboard.press('j');
    await expect(/^nothing inside/);
    await page.locator('tr', { hasText: 'nothing inside' }).locator('.twist').click();
    await page.getByText('This folder is empty.').waitFor();
    // What was ticked in the tree is what is restored.
    await page.getByRole('button', { name: 'Restore what is ticked' }).click();
    await page.waitForURL(/\/restore/);
    assert.deepEqual(new URL(page.url()).searchParams.getAll('p'), ['work/deep/deeper']);
    await page.goBack();
    await page.locator('table[role=treegrid]').waitFor();
    await rows().first().focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/path=data/);
    await page.locator('table[role=treegrid]').waitFor();
    await page.keyboard.press('j');
    await expect(/^Up one folder/);
  });

  test('the API can be read and tried from the foot of every page', async () => {
    await go('/');
    await page.getByRole('link', { name: 'API', exact: true }).click();
    await page.getByText('/api/v1/runs/{id}/retry').waitFor();
    await page.locator('#operations-services-list, [id^="operations-services"]').first().locator('button').first().click();
    await page.getByRole('button', { name: 'Try it out' }).first().click();
    await page.getByRole('button', { name: 'Execute' }).first().click();
    const answer = page.locator('.responses-wrapper').first();
    await until('the answer of the API', 15, async () => (await answer.innerText()).includes('Notebooks of the faculty')).catch(async (e) => assert.fail(`${e.message}: ${await answer.innerText()}`));
  });

  test('without scripts the help is a link away and the tree is links and boxes', async () => {
    const plain = await visitor(browser, { state, js: false });
    const p = plain.page;
    await p.goto(`${holdfast.url}/people/${USERS[0]}`);
    await p.locator('a[href^="/snapshots/"]').first().click();
    assert.equal(await p.locator('table[role=treegrid], tr[tabindex], .find .kbd:visible, .twist:visible').count(), 0);
    await p.getByRole('link', { name: 'work', exact: true }).click();
    await p.getByRole('link', { name: 'deep', exact: true }).waitFor();
    await p.getByRole('link', { name: 'Keyboard help' }).last().click();
    await p.getByRole('heading', { name: 'Keyboard' }).waitFor();
    await p.getByRole('link', { name: 'Close' }).click();
    assert.equal(await p.locator('#help').isVisible(), false);
    await p.locator('details.menu summary').click();
    await p.getByText('Off', { exact: true }).click();
    await p.getByRole('button', { name: 'Save' }).click();
    assert.ok(await p.locator('input[name=keys][value=off]').isChecked());
    assert.deepEqual(plain.complaints, []);
    await plain.close();
  });

  test('nothing went wrong on the way', () => assert.deepEqual(v.complaints, []));
});
