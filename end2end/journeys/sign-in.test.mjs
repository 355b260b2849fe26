// Signing in at a real OpenID provider that is set up like a research infrastructure's: who gets in and as what, what is
// refused and how that reads, roles that are taken away, sign-out both ways, a provider that is down.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openProvider } from '../components/oidc/provider.mjs';
import { USERS, axe, launch, overhang, start, until, visitor } from '../harness.mjs';

const SECRET = 'of-the-tests-0123456789abcdef0123456789';

/// A way to Holdfast whose address is known before Holdfast has one: the provider wants to know where people come back.
async function gate() {
  let to;
  const open = new Set();
  const server = net.createServer((client) => {
    open.add(client.on('close', () => open.delete(client)));
    if (!to) return client.destroy();
    const upstream = net.connect(to, '127.0.0.1');
    client.pipe(upstream).pipe(client);
    for (const s of [client, upstream]) s.on('error', () => { client.destroy(); upstream.destroy(); });
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  const { port } = server.address();
  return { url: `http://127.0.0.1:${port}`, open: (p) => { to = p; }, shut: () => { const was = to; to = undefined; for (const s of open) s.destroy(); return was; }, close: () => server.close() };
}

for (const js of [true, false]) {
  describe(js ? 'sign-in, with JavaScript' : 'sign-in, without JavaScript', () => {
    let holdfast, provider, way, browser;

    before(async () => {
      way = await gate();
      provider = await openProvider({
        client_id: 'holdfast', client_secret: SECRET, grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
        redirect_uris: [`${way.url}/auth/callback`], post_logout_redirect_uris: [`${way.url}/`],
        backchannel_logout_uri: `${way.url}/auth/checkin/backchannel`, backchannel_logout_session_required: true,
      });
      holdfast = await start();
      way.open(Number(new URL(holdfast.url).port));
      fs.writeFileSync(path.join(holdfast.dir, 'secret'), SECRET);
      const groups = 'urn:mace:egi.eu:group:continuity.example.org';
      fs.writeFileSync(path.join(holdfast.dir, 'providers.yaml'), `version: 1
notifications:
  address: ${way.url}
providers:
  - name: checkin
    title: Check-in
    issuer: ${provider.issuer}
    client_id: holdfast
    client_secret: { file: "${holdfast.dir}/secret" }
    scopes: [openid, profile, email, entitlements, eduperson_assurance, offline_access]
    person: [voperson_id, sub]
    assurance: [https://refeds.org/assurance/IAP/low]
    refresh: 30s
    roles:
      - { claim: entitlements, pattern: "${groups}:admins:role=manager#aai.egi.eu", role: admin }
      - { claim: entitlements, pattern: "${groups}:auditors#aai.egi.eu", role: auditor }
      - { claim: entitlements, pattern: "${groups}:owners#aai.egi.eu", role: owner, service: notebooks }
      - { claim: entitlements, pattern: "${groups}#aai.egi.eu", role: member }
    data: [preferred_username]
`);
      provider.accounts.mem.preferred_username = USERS[0];
      await holdfast.cli('apply', path.join(holdfast.dir, 'providers.yaml'));
      await holdfast.cli('backup', 'notebooks');
      browser = await launch();
    });
    after(async () => {
      await browser?.close();
      await holdfast?.stop();
      await provider?.down();
      way?.close();
    });

    /// A window in which somebody has gone to the provider and said who they are; empty: refused.
    async function as(user) {
      const v = await visitor(browser, { js });
      await v.page.goto(`${way.url}/services`);
      await v.page.getByRole('link', { name: 'Continue with Check-in' }).click();
      await v.page.getByRole('button', { name: user ? provider.accounts[user].name : 'Refuse' }).click();
      await v.page.waitForURL((u) => u.origin === way.url);
      v.complaints.length = 0; // the provider's own pages are not ours to judge
      return v;
    }
    const main = (v) => v.page.locator('main').innerText();
    /// Makes the sessions due: thirty seconds are long for a test.
    const due = async (v) => {
      await v.page.waitForTimeout(31_000);
      await v.page.goto(`${way.url}/services`);
    };

    test('an admin comes in, to the page that was asked for, under the name that the provider tells', async () => {
      const v = await as('ada');
      assert.equal(new URL(v.page.url()).pathname, '/services');
      assert.match(await v.page.locator('.menu summary').innerText(), /Ada Admin\s*admin/);
      await v.page.goto(`${way.url}/account`);
      assert.match(await main(v), /ada\.admin@example\.org/);
      assert.match(await main(v), /by the provider/);
      if (js) assert.deepEqual(await axe(v.page), []);
      await v.page.goto(`${way.url}/audit?action=session.open`);
      assert.match(await main(v), /ada\.admin@example\.org[\s\S]*admins:role=manager/);
      assert.deepEqual(v.complaints, []);
      await v.close();
    });

    test('an auditor reads and changes nothing', async () => {
      const v = await as('aud');
      assert.match(await v.page.locator('.menu summary').innerText(), /Aud Itor\s*auditor/);
      assert.equal(await v.page.getByRole('button', { name: /Back up/ }).count(), 0);
      await v.close();
    });

    test('an owner acts on the service that is theirs and sees nothing of the rest', async () => {
      const v = await as('olga');
      assert.match(await v.page.locator('.menu summary').innerText(), /Olga Owner\s*owner/);
      const rail = await v.page.locator('nav.rail').innerText();
      assert.match(rail, /Services/);
      assert.doesNotMatch(rail, /Repositories|Policies|Notifications|Audit|Access/);
      assert.match(await main(v), /Notebooks of the faculty/);
      for (const at of ['/', '/services/notebooks', '/services/notebooks/snapshots', '/services/notebooks/tests', '/runs', '/people', `/people/${USERS[1]}`, '/snapshots', '/holds', '/schedules', '/schedules/nightly', '/ledger', '/tests', '/restore', '/account', '/search?q=hub']) {
        const answer = await v.page.goto(way.url + at);
        assert.equal(answer.status(), 200, at);
        // No way leads to a refusal.
        const ways = await v.page.locator('main a[href^="/"], nav.rail a[href^="/"]').evaluateAll((all) => all.map((e) => e.getAttribute('href')));
        assert.deepEqual(ways.filter((w) => /^\/(repositories|policies|audit|access|workers|schedules\/new|notifications$)/.test(w)), [], at);
        if (js) assert.deepEqual(await axe(v.page), [], at);
      }
      v.complaints.length = 0; // the browser reports each refusal as an error
      for (const at of ['/repositories', '/repositories/main', '/policies', '/notifications', '/audit', '/access', '/workers', '/schedules/new']) {
        const answer = await v.page.goto(way.url + at);
        assert.equal(answer.status(), 403, at);
        assert.match(await main(v), /you may not/i, at);
      }
      await v.page.goto(`${way.url}/services/notebooks`);
      await v.page.getByRole('button', { name: /Back up/ }).first().click();
      await v.page.waitForURL(/\/runs\//);
      assert.match(await main(v), /Backup of notebooks/);
      await v.close();
    });

    test('a member sees their own data and brings it back beside what is there', async () => {
      const v = await as('mem');
      await v.page.goto(`${way.url}/`);
      await v.page.getByRole('link', { name: 'See what is kept for you' }).click();
      assert.match(await main(v), new RegExp(USERS[0]));
      assert.equal((await v.page.goto(`${way.url}/people/${USERS[1]}`)).status(), 403);
      assert.equal((await v.page.goto(`${way.url}/services/notebooks`)).status(), 403);
      await v.page.goto(`${way.url}/people/${USERS[0]}`);
      await v.page.getByRole('link', { name: /^Browse/ }).first().click();
      await v.page.locator('main').getByText('work', { exact: true }).first().waitFor();
      if (js) assert.deepEqual(await axe(v.page), []);
      await v.page.goto(`${way.url}/people/${USERS[0]}`);
      await v.page.locator('main table').getByRole('link', { name: /^Restore/ }).first().click();
      assert.equal(await v.page.getByLabel(/To a folder|In place/).count(), 0);
      await v.page.getByRole('button', { name: 'Continue to the preview' }).click();
      await v.page.getByRole('button', { name: /preview/i }).first().click();
      await until('the preview', 60, async () => {
        if (await v.page.getByRole('button', { name: 'Start the restore' }).count()) return true;
        await v.page.waitForTimeout(500);
        await v.page.reload();
        return false;
      });
      await v.page.getByRole('button', { name: 'Start the restore' }).click();
      await v.page.waitForURL(/\/runs\//);
      const home = path.join(holdfast.dir, 'exports', USERS[0]);
      const landed = () => fs.readdirSync(home).find((n) => n.startsWith('restored-'));
      await until('the restore', 60, landed);
      assert.ok(fs.existsSync(path.join(home, landed(), 'work/analysis.ipynb')));
      fs.rmSync(path.join(home, landed()), { recursive: true });
      const run = v.page.url();
      await v.page.goto(run);
      assert.match(await main(v), /beside the original/);
      const ways = await v.page.locator('main a[href^="/"]').evaluateAll((all) => all.map((e) => e.getAttribute('href')));
      for (const page of ['/', '/runs', '/snapshots', `/people/${USERS[0]}`]) {
        await v.page.goto(way.url + page);
        ways.push(...await v.page.locator('main a[href^="/"]').evaluateAll((all) => all.map((e) => e.getAttribute('href'))));
      }
      for (const at of new Set(ways)) assert.notEqual((await v.page.goto(way.url + at)).status(), 403, at);
      await v.close();
    });

    test('an admin sees who may do what, tries the rules, and says whose data is whose', async () => {
      for (const user of ['olga', 'mem']) await (await as(user)).close();
      const v = await as('ada');
      await v.page.goto(`${way.url}/access`);
      assert.match(await main(v), /own services[\s\S]*Check-in[\s\S]*mem@example\.org/);
      if (js) assert.deepEqual(await axe(v.page), []);
      const claims = `entitlements=${provider.group(':owners')}`;
      await v.page.getByLabel('Claims').fill(claims);
      await v.page.getByRole('button', { name: 'Try' }).click();
      await v.page.getByText('assurance is asked for').waitFor();
      await v.page.getByLabel('Claims').fill(`${claims}\neduperson_assurance=https://refeds.org/assurance/IAP/low`);
      await v.page.getByRole('button', { name: 'Try' }).click();
      await v.page.getByText('Owner of notebooks', { exact: true }).waitFor();
      await v.page.getByLabel('Whose data is that of Olga Owner').fill(USERS[2]);
      await v.page.getByRole('button', { name: 'Link Olga Owner' }).click();
      await v.page.goto(`${way.url}/people/${USERS[2]}`);
      assert.match(await main(v), /Data of Olga Owner/);
      await v.page.setViewportSize({ width: 390, height: 844 });
      await v.page.goto(`${way.url}/access`);
      assert.equal(await overhang(v.page), 0);
      assert.deepEqual(v.complaints, []);
      await v.close();
    });

    test('whoever has no role, no proof or no wish is told so, and nobody is inside', async () => {
      for (const [user, words] of [
        ['umit', /Check-in knows you, and you have no role here/], ['bare', /you have no role here/],
        ['weak', /did not verify you well enough/], ['', /Check-in did not let you in/],
      ]) {
        const v = await as(user);
        assert.match(await main(v), words);
        assert.match(await main(v), /Reference [0-9a-f]{8}/);
        if (js) assert.deepEqual(await axe(v.page), []);
        await v.page.goto(`${way.url}/services`);
        assert.match(new URL(v.page.url()).pathname, /^\/login/);
        await v.close();
      }
    });

    test('state, code and nonce cannot be made up, and are good once', async () => {
      const v = await visitor(browser, { js });
      for (const query of ['', '?state=x&code=y', '?code=y', '?state=&code=y']) {
        await v.page.goto(`${way.url}/auth/callback${query}`);
        assert.match(await main(v), /This sign-in is over/, query);
      }
      const answer = async ({ page }) => {
        await page.goto(`${way.url}/login`);
        await page.getByRole('link', { name: 'Continue with Check-in' }).click();
        const port = way.shut();
        const asked = page.waitForRequest((r) => r.url().startsWith(`${way.url}/auth/callback`));
        await page.getByRole('button', { name: 'Ada Admin' }).click().catch(() => {});
        const back = (await asked).url();
        await page.waitForURL(/chrome-error/).catch(() => {});
        way.open(port);
        return back;
      };
      // The answer of somebody else; the right state with another code; the same answer in another browser, and again.
      const mixed = await visitor(browser, { js });
      const answered = new URL(await answer(mixed));
      answered.searchParams.set('iss', 'https://evil.example.org');
      await mixed.page.goto(answered.href);
      assert.match(await main(mixed), /was not valid/);
      await mixed.page.goto(`${way.url}/`);
      assert.match(new URL(mixed.page.url()).pathname, /^\/login/);
      await mixed.close();
      const back = await answer(v);
      await v.page.goto(back.replace(/code=[^&]+/, 'code=made-up'));
      assert.match(await main(v), /Check-in did not let you in/);
      const other = await visitor(browser, { js });
      await other.page.goto(back);
      assert.match(await main(other), /This sign-in is over/);
      await v.page.goto(back);
      assert.match(await main(v), /This sign-in is over/);
      await v.close();
      await other.close();
    });

    test('a role that is taken away is gone at the next look, and the session with the last one', async () => {
      const v = await as('ada');
      const groups = provider.accounts.ada.entitlements;
      provider.accounts.ada.entitlements = [provider.group(':auditors')];
      await due(v);
      assert.match(await v.page.locator('.menu summary').innerText(), /Ada Admin\s*auditor/);
      provider.accounts.ada.entitlements = [];
      await due(v);
      assert.match(new URL(v.page.url()).pathname, /^\/login/);
      provider.accounts.ada.entitlements = groups;
      await v.close();
    });

    test('while the provider is down sessions go on and new ones are refused clearly', async () => {
      const v = await as('aud');
      await provider.down();
      await due(v);
      assert.match(await v.page.locator('.menu summary').innerText(), /Aud Itor/);
      const w = await visitor(browser, { js });
      await w.page.goto(`${way.url}/login`);
      // Holdfast has to ask anew who the provider is, because what is configured of it has changed.
      const file = path.join(holdfast.dir, 'providers.yaml');
      fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('title: Check-in', 'title: Check-in of Example'));
      await holdfast.cli('apply', file);
      await w.page.getByRole('link', { name: 'Continue with Check-in' }).click();
      await w.page.waitForURL(/\/login/);
      assert.match(await main(w), /Check-in of Example does not answer[\s\S]*Sessions that are open go on/);
      await provider.up();
      await w.close();
      await v.close();
    });

    test('signing out here ends the session at the provider, and the provider ends it here', async () => {
      const v = await as('ada');
      await v.page.locator('.menu summary').click();
      await v.page.getByRole('button', { name: 'Sign out' }).click();
      await v.page.waitForURL(/session\/end/);
      await v.page.getByRole('button', { name: 'Sign out of the provider' }).click();
      await v.page.waitForURL(/\/login/);
      await v.page.getByRole('link', { name: 'Continue with Check-in' }).click();
      await v.page.getByRole('heading', { name: 'Who are you?' }).waitFor();
      await v.close();

      const x = await as('aud');
      await x.page.goto(`${provider.issuer}/session/end`);
      await x.page.getByRole('button', { name: 'Sign out of the provider' }).click();
      await x.page.waitForURL(/session\/end\/success/);
      await until('the session to end here too', 10, async () => {
        await x.page.goto(`${way.url}/services`);
        return new URL(x.page.url()).pathname === '/login';
      });
      for (const token of ['', 'nonsense', 'a.b.c']) {
        const answer = await fetch(`${way.url}/auth/checkin/backchannel`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams({ logout_token: token }) });
        assert.equal(answer.status, 400, token);
      }
      await x.close();
    });

    test('new signing keys of the provider are learnt', async () => {
      provider.rotate();
      await new Promise((r) => setTimeout(r, 11_000)); // keys are asked for again every ten seconds at most
      const v = await as('ada');
      assert.match(await v.page.locator('.menu summary').innerText(), /Ada Admin/);
      await v.close();
    });

    test('the sign-in page: light, dark and on a phone', async () => {
      for (const options of [{}, { dark: true }, { width: 390 }]) {
        const w = await visitor(browser, { js, ...options });
        for (const at of ['/login', '/login?error=no_role&provider=checkin&reference=7f3a19c2', '/login?error=away&provider=checkin']) {
          await w.page.goto(way.url + at);
          assert.equal(await overhang(w.page), 0);
          if (js) assert.deepEqual(await axe(w.page), []);
        }
        assert.deepEqual(w.complaints, []);
        await w.close();
      }
    });
  });
}
