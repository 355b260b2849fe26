// The API against calls that are made from its own document: valid ones, and ones that are wrong in one place. Nothing
// brings the server down, and every answer is one that the document names, in the form that it names.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { start } from '../harness.mjs';

const run = promisify(execFile);
const component = path.join(path.dirname(fileURLToPath(import.meta.url)), '../components/schemathesis/up');

let holdfast, schemathesis, token;

before(async () => {
  schemathesis = (await run(component, [], { timeout: 600_000 })).stdout.trim();
  holdfast = await start();
  await holdfast.cli('backup', 'notebooks');
  const link = new URL(await holdfast.loginLink());
  const entered = await fetch(`${holdfast.url}/login`, { method: 'POST', redirect: 'manual', body: new URLSearchParams({ token: link.searchParams.get('token') }) });
  const cookie = entered.headers.get('set-cookie').split(';')[0];
  const scopes = ['read', 'browse', 'configure', 'operate', 'restore', 'hold', 'unlock', 'audit'];
  const made = await fetch(`${holdfast.url}/api/v1/tokens`, {
    method: 'POST', headers: { cookie, 'content-type': 'application/json' }, body: JSON.stringify({ name: 'fuzz', scopes }),
  });
  assert.equal(made.status, 201);
  ({ token } = await made.json());
});
after(() => holdfast?.stop());

test('every answer is one that the document names, and none is a fault', { timeout: 600_000 }, async () => {
  const calls = [
    'run', `${holdfast.url}/api/openapi.json`, '--url', holdfast.url, '--header', `Authorization: Bearer ${token}`,
    // The same calls each time, a minute or two of them. Streams have no end. One thread: two may meet a fault of CPython
    // 3.11 (“AST constructor recursion depth mismatch”).
    '--seed', '20260101', '--max-examples', '8', '--phases', 'examples,coverage,fuzzing', '--workers', '1', '--no-shrink',
    '--exclude-path-regex', '/events$', '--request-timeout', '30', '--continue-on-failure', '--warnings', 'off',
    '--checks', 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance',
  ];
  const said = await run(schemathesis, calls, { maxBuffer: 1 << 26, cwd: holdfast.dir }).catch((e) => {
    throw new Error(`schemathesis: ${e.stdout.replaceAll(token, 'TOKEN').slice(-20_000)}\n${e.stderr.slice(-4_000)}`);
  });
  const cases = Number(said.stdout.match(/(\d[\d,]*) generated/)?.[1]?.replaceAll(',', '') ?? 0);
  assert.ok(cases > 300, `only ${cases} calls were made:\n${said.stdout.slice(-4_000)}`);
  assert.ok((await fetch(`${holdfast.url}/healthz`)).ok, 'the server is there');
  assert.ok(!/panicked at|internal error in the API/.test(holdfast.log()), holdfast.log().match(/.*(panicked at|internal error).*/)?.[0]);
});
