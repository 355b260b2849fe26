// A certified OpenID provider, set up like a research infrastructure's proxy: pairwise-looking subjects, groups as entitlements
// that only UserInfo tells, refresh tokens that are good once, sign-out both ways.
//
// Lives here: starting it, its people, and what a test may do to it. May not: knowing Holdfast.

import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import Provider from 'oidc-provider';

const PATH = '/auth/realms/egi';
const group = (path, role = 'member') => `urn:mace:egi.eu:group:continuity.example.org${path}:role=${role}#aai.egi.eu`;
const people = () => ({
  ada: { name: 'Ada Admin', email: 'ada.admin@example.org', entitlements: [group(''), group(':admins', 'manager')] },
  aud: { name: 'Aud Itor', email: 'aud.itor@example.org', entitlements: [group(''), group(':auditors')] },
  umit: { name: 'Ümit Plain-Üser', email: 'umit@example.org', entitlements: ['urn:mace:egi.eu:group:other.example.org:role=member#aai.egi.eu', 'no urn'] },
  olga: { name: 'Olga Owner', email: 'olga@example.org', entitlements: [group(':owners')] },
  mem: { name: 'Mem Ber', email: 'mem@example.org', entitlements: [group('')] },
  bare: { name: 'No Entitlement', email: 'bare@example.org' },
  weak: { name: 'Weak Proof', email: 'weak@example.org', entitlements: [group(':admins', 'manager')], eduperson_assurance: ['https://refeds.org/assurance/IAP/local-enterprise'] },
});

const keys = () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  return { keys: [{ ...rsa, use: 'sig', alg: 'RS256', kid: `rsa-${Date.now()}-${Math.random()}` }] };
};

/// Starts it on a port of 127.0.0.1; `client` is what oidc-provider takes. `accounts` may be changed at any time.
export async function openProvider(client) {
  const accounts = people();
  const subject = (user) => `${user}-0123456789abcdef@checkin.example`;
  let server, provider, port = 0;
  const issuer = () => `http://127.0.0.1:${port}${PATH}`;

  const make = () => {
    provider = new Provider(issuer(), {
      jwks: keys(),
      clients: [client],
      cookies: { keys: ['of the tests alone'] },
      claims: { openid: ['sub', 'voperson_id'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], entitlements: ['entitlements'], eduperson_assurance: ['eduperson_assurance'] },
      scopes: ['openid', 'offline_access'],
      pkce: { required: () => true },
      rotateRefreshToken: true,
      issueRefreshToken: async () => true,
      ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, RefreshToken: 86_400, Session: 3_600, Grant: 86_400, Interaction: 600 },
      // The library refuses loopback targets, and that is where the test listens.
      fetch: (url, { dispatcher, ...options }) => fetch(url, { ...options, signal: AbortSignal.timeout(5_000) }),
      interactions: { url: (_, i) => `${PATH}/interaction/${i.uid}` },
      features: {
        devInteractions: { enabled: false },
        backchannelLogout: { enabled: true },
        rpInitiatedLogout: {
          enabled: true,
          logoutSource: (ctx, form) => { ctx.body = `<!doctype html><html lang="en"><title>Sign out</title>${form}<button form="op.logoutForm" name="logout" value="yes">Sign out of the provider</button></html>`; },
        },
      },
      findAccount: (_, sub) => {
        const [user] = Object.keys(accounts).filter((u) => subject(u) === sub);
        return user && { accountId: sub, claims: async () => ({ sub, voperson_id: sub, email_verified: true, eduperson_assurance: ['https://refeds.org/assurance/IAP/low'], ...accounts[user] }) };
      },
      // Every client is trusted: nobody is asked for consent.
      loadExistingGrant: async (ctx) => {
        const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
        grant.addOIDCScope([...ctx.oidc.requestParamScopes].join(' '));
        await grant.save();
        return grant;
      },
    });
  };

  async function interaction(req, res) {
    await provider.interactionDetails(req, res);
    if (req.method !== 'POST') {
      const buttons = [...Object.entries(accounts).map(([user, a]) => `<button name="user" value="${user}">${a.name}</button>`), '<button name="user" value="">Refuse</button>'];
      res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      return res.end(`<!doctype html><html lang="en"><title>Provider</title><h1>Who are you?</h1><form method="post">${buttons.join(' ')}</form></html>`);
    }
    let body = '';
    for await (const chunk of req) body += chunk;
    const user = new URLSearchParams(body).get('user');
    const result = accounts[user] ? { login: { accountId: subject(user) } } : { error: 'access_denied', error_description: 'the person refused' };
    return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
  }

  const listen = () => new Promise((resolve) => {
    server = http.createServer((req, res) => {
      const at = new URL(req.url, 'http://127.0.0.1').pathname;
      if (!at.startsWith(PATH)) return res.writeHead(404).end();
      const done = at.startsWith(`${PATH}/interaction/`) ? interaction(req, res) : ((req.originalUrl = req.url), (req.url = req.url.slice(PATH.length)), provider.callback()(req, res));
      Promise.resolve(done).catch((e) => { if (!res.headersSent) res.writeHead(400); res.end(String(e.message)); });
    }).listen(port, '127.0.0.1', () => { port = server.address().port; resolve(); });
  });
  const down = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });

  await listen();
  make();
  return {
    accounts, subject, group,
    get issuer() { return issuer(); },
    down, up: listen,
    /// Other signing keys from now on; what was issued before is forgotten with the rest.
    rotate: make,
  };
}
