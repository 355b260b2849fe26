// A real Prometheus and Alertmanager with the rules that are shipped: what is overdue is told, and told again when it is well.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { start, until } from '../harness.mjs';

const run = promisify(execFile);
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const component = (...args) => run(path.join(root, 'end2end/components/prometheus', args[0]), args.slice(1), { timeout: 60_000 });

/// Feeds a text to promtool's judgement of metrics.
function promtool(text) {
  return new Promise((resolve) => {
    const child = execFile('promtool', ['check', 'metrics'], (error, stdout, stderr) => resolve({ code: error?.code ?? 0, said: stdout + stderr }));
    child.stdin.end(text);
  });
}

test('the rules are right: each fires when it must and is silent when not', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-rules-'));
  try {
    fs.copyFileSync(path.join(root, 'docs/alerts.yml'), path.join(dir, 'alerts.yml'));
    fs.copyFileSync(path.join(root, 'end2end/components/prometheus/alerts.test.yml'), path.join(dir, 'alerts.test.yml'));
    await run('promtool', ['check', 'rules', 'alerts.yml'], { cwd: dir });
    await run('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd: dir });
    // No rule is without a test.
    const rules = fs.readFileSync(path.join(dir, 'alerts.yml'), 'utf8').match(/(?<=alert: )\w+/g);
    const tested = fs.readFileSync(path.join(dir, 'alerts.test.yml'), 'utf8');
    for (const rule of rules) assert.ok(tested.includes(`"${rule}"`), `${rule} has no test`);
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
});

test('an overdue backup fires at the web hook and is resolved by a backup', async () => {
  const holdfast = await start();
  const heard = [];
  const hook = http.createServer((request, response) => {
    let body = '';
    request.on('data', (d) => (body += d));
    request.on('end', () => {
      heard.push(...JSON.parse(body).alerts);
      response.end();
    });
  });
  await new Promise((r) => hook.listen(0, '127.0.0.1', r));
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-prometheus-'));
  const overdue = (status) => heard.find((a) => a.labels.alertname === 'HoldfastBackupOverdue' && a.labels.service === 'notebooks' && a.status === status);
  try {
    const target = new URL(holdfast.url).host;
    const prometheus = (await component('up', dir, target, `http://127.0.0.1:${hook.address().port}/alerts`)).stdout.trim();
    const ask = async (query) => (await (await fetch(`${prometheus}/api/v1/query?query=${encodeURIComponent(query)}`)).json()).data.result;

    const fired = await until('the overdue backup at the web hook', 40, () => overdue('firing'));
    assert.equal(fired.annotations.summary, 'notebooks has no snapshot within its RPO');
    assert.equal((await ask('holdfast_service_snapshot_age_seconds'))[0].value[1], '+Inf', 'what never was is endlessly old');
    assert.ok(!overdue('resolved'));

    await holdfast.cli('backup', 'notebooks');
    await until('the word that it is well', 60, () => overdue('resolved'));
    const firing = (await ask('ALERTS{alertstate="firing"}')).map((a) => a.metric.alertname).sort();
    assert.deepEqual(firing, ['HoldfastRepositoryUnchecked', 'HoldfastRestoreUnproven'], 'what was never done is still said');

    // What Holdfast itself finds wrong is counted; a kind without an alert is nought, so that its rule can end.
    const alerts = async (kind) => (await ask(`holdfast_alerts{kind="${kind}"}`))[0]?.value[1];
    await until('the alert that nothing was restored', 60, async () => (await alerts('never_restored')) === '1');
    assert.equal(await alerts('hold'), '0');

    // What Prometheus' own tool thinks of the text, and what must not be in it.
    const text = await (await fetch(`${holdfast.url}/metrics`)).text();
    const judged = await promtool(text);
    assert.equal(judged.code, 0, judged.said);
    for (const secret of ['alice', 'clark', '/exports', dir]) assert.ok(!text.includes(secret), `${secret} is in the metrics`);
    const answers = await ask('holdfast_http_requests_total');
    assert.ok(answers.length < 200, 'labels are bounded');
  } finally {
    await component('down', dir);
    hook.close();
    fs.rmSync(dir, { recursive: true, force: true });
    await holdfast.stop();
  }
});
