import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { has, needs } from '../../../test/support/needs.ts';
import { runnerWorld } from '../../../test/support/runner-world.ts';
import { scriptServer } from '../../../test/support/scripts.ts';
import { ownCaller } from '../../core/scripts/scripts.ts';
import { openProcessRuntime } from '../../drivers/runtimes/process/process-runtime.ts';
import { startSandbox, sweepSandboxes } from './sandbox.ts';

const openRuntime = () => openProcessRuntime({ mode: has('bubblewrap') ? 'bubblewrap' : 'plain', log: { warn() {} } });

async function world(t: TestContext) {
  const runner = await runnerWorld(t, { runtime: await openRuntime(), components: 'real' });
  const { core, actor, jobsDirectory } = runner;
  return {
    ...runner,
    async begin(source: string, config = {}) {
      const { id } = await core.scripts.create(actor, { label: 's', runtime: 'nodejs', source, config });
      return core.scripts.run(actor, id, {});
    },
    folders: () => readdir(path.join(jobsDirectory, 'scripts')).catch(() => [] as string[]),
    async until(isSo: () => Promise<boolean>) {
      for (let tries = 0; !(await isSo()); tries++) {
        assert.ok(tries < 500, 'it did not come true');
        await sleep(20);
      }
    },
  };
}

const PATIENT = 'console.log("once"); setTimeout(() => console.log("end"), 1500)';

test('a script goes on while its server restarts, and is not run a second time', async (t) => {
  const { begin, until, said, restart, end, core, actor } = await world(t);
  const job = await begin(PATIENT, { timeout: 20 });
  await until(async () => (await said(job)).length > 0);
  await restart(await openRuntime());
  const ended = await end(job);
  assert.equal(ended.status, 'succeeded', ended.error?.message);
  assert.deepEqual(ended.result, { stdout: 'once\nend\n', stderr: '' });
  const [only, ...others] = await core.scripts.runs(actor, ownCaller(Number(job.configurationId)), { limit: 10 });
  assert.deepEqual([only?.id, others], [job.id, []]);
});

test('a script is run like any other component, too', async (t) => {
  const { core, actor, start, end } = await world(t);
  const script = await core.scripts.create(actor, { label: 's', runtime: 'nodejs', source: 'console.log(ARGS.x)' });
  const run = { componentId: 'millrace.script', configurationId: String(script.id) };
  const job = await end(await start({ ...run, options: { tag: 1 } }));
  assert.equal(job.status, 'succeeded', job.error?.message);
  assert.deepEqual(job.result, { stdout: 'undefined\n', stderr: '' });
  const [shown] = await core.scripts.runs(actor, ownCaller(script.id), { limit: 10 });
  assert.equal(shown?.id, job.id);
  await assert.rejects(start({ componentId: 'millrace.script' }), { code: 'run.stored-only' });
  await assert.rejects(start({ ...run, configData: '{}' }), { code: 'run.stored-only' });
  await assert.rejects(start({ ...run, configurationId: '999' }), { code: 'configuration.not-found' });
});

test('a killed run ends at once, and nothing of it stays', async (t) => {
  const { begin, until, said, end, core, actor, folders } = await world(t);
  const job = await begin('console.log("once"); for (;;) {}', { timeout: 60 });
  await until(async () => (await said(job)).length > 0);
  await core.jobs.kill(actor, job.id);
  assert.equal((await end(job)).status, 'stopped');
  // At most one that waits for the next script.
  await until(async () => (await folders()).length <= 1);
});

test('what a server that is gone has left is swept away at the next start', async (t) => {
  const { jobsDirectory, folders, core } = await world(t);
  const before = await openRuntime();
  const program = core.components.get('millrace.script').directory ?? '';
  await startSandbox({ runtime: before, jobsDirectory, program, memoryMb: 256 }, 60_000);
  await before.close();
  assert.equal((await folders()).length, 1);
  const after = await openRuntime();
  await sweepSandboxes({ runtime: after, jobsDirectory, unfinished: async () => [] });
  await after.close();
  assert.deepEqual(await folders(), []);
});

test('output without end, memory without end and a flood of processes end the script alone', async (t) => {
  const { begin, end } = await world(t);
  const flood = await end(await begin('for (;;) console.log("x".repeat(1000))'));
  assert.equal(flood.error?.message, 'The script printed more than it may print.');
  assert.ok(JSON.stringify(flood.result).length < 1024 * 1024);
  const fat = await end(await begin('const all = []; for (;;) all.push(Buffer.alloc(1 << 24, 1))'));
  assert.equal(fat.status, 'failed');
  const fork =
    'for (let i = 0; i < 500; i++) require("child_process").spawn("/bin/sleep", ["9"]).on("error", () => process.exit(9))';
  assert.equal((await end(await begin(fork, { timeout: 5 }))).status, 'failed');
});

test('a script reaches no file, process, variable or port of the platform, and nothing of another run', async (t) => {
  if (!needs(t, 'bubblewrap')) return;
  const { runSource, url, dataDir, create, call } = await scriptServer(t);
  const neighbour = await create('setTimeout(() => 0, 3000)', { config: { token: 'neighbours-secret', timeout: 10 } });
  await call('POST', `snippets/scripts/${neighbour}/run/`, { payload: { token: 'neighbours-secret' } });
  const trace = await runSource(
    `
    const fs = require('fs'), net = require('net'), { execSync } = require('child_process');
    const found = {};
    const attempt = (name, act) => { try { const got = act(); if (got) found[name] = got; } catch {} };
    for (const path of [ARGS.dataDir, ARGS.dataDir + '/credentials.json', ARGS.dataDir + '/jobs', '/root', '/home', '/etc/shadow'])
      attempt('read ' + path, () => fs.statSync(path) && (fs.readdirSync(path).length || fs.readFileSync(path, 'utf8')));
    for (const path of ['/x', '/usr/x', '/etc/x']) attempt('write ' + path, () => { fs.writeFileSync(path, 'x'); return true; });
    attempt('environment', () => Object.keys(process.env).filter((name) => !['PATH','HOME','TMPDIR','LANG','PWD','OPENSSL_CONF','MILLRACE_RUN','SHLVL','_','OLDPWD'].includes(name)).join());
    attempt('processes', () => execSync('cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null', { encoding: 'latin1' }).match(/postgres|neighbours-secret|dist.main/)?.[0]);
    attempt('neighbour', () => execSync('find / -path /usr -prune -o -path /proc -prune -o -path /data -prune -o -name run.json -print 2>/dev/null; true', { encoding: 'utf8' }));
    attempt('root', () => process.getuid() === 0 ? 'root' : '');
    const ports = [ARGS.port, 5432, 5439, 22];
    Promise.all(ports.map((port) => new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => { found['port ' + port] = true; socket.destroy(); resolve(); });
      socket.on('error', resolve);
    }))).then(() => console.log(JSON.stringify(found)));
    `,
    { dataDir, port: Number(new URL(url).port) },
    { config: { timeout: 20 } },
  );
  assert.equal(trace.status, 'success', JSON.stringify(trace));
  assert.deepEqual(JSON.parse(trace.result.stdout ?? ''), {});
});

test('the platform answers a script under one address, with its own key and never with another right', async (t) => {
  const { runSource, call, base } = await scriptServer(t);
  await call('POST', 'classes/', { name: 'thing', schema: [{ name: 'n', type: 'integer' }] });
  const source = `
    const ask = async (path, key, body) => {
      const answer = await fetch(META.api_host + path, {
        method: body ? 'POST' : 'GET', headers: { 'content-type': 'application/json', ...(key && { 'x-api-key': key }) },
        ...(body && { body: JSON.stringify(body) }) });
      return [answer.status, (await answer.json()).n];
    };
    (async () => {
      const objects = ARGS.base + 'classes/thing/objects/';
      console.log(JSON.stringify([
        META.token !== undefined,
        await ask(objects, META.token, { n: 5 }),
        await ask(objects, undefined),
        await ask('/v1.1/instances/other/classes/', META.token),
        (await fetch(META.api_host + '/v2/storage/tokens/verify', { headers: { 'x-storageapi-token': META.token ?? 'x' } })).status,
      ]));
      console.log(META.token ?? '');
    })();
  `;
  const full = await runSource(source, { base }, { config: { allow_full_access: true } });
  assert.equal(full.status, 'success', JSON.stringify(full));
  // The key itself is hidden in all the script says.
  assert.deepEqual(full.result.stdout?.split('\n'), ['[true,[201,5],[403,null],[404,null],401]', '[hidden]']);
  const plain = await runSource(source, { base });
  assert.deepEqual(plain.result.stdout, '[false,[403,null],[403,null],[403,null],401]\n');
});

test('a key that was lent opens nothing after its time', async (t) => {
  const { core, actor } = await world(t);
  const { secret: key } = await core.identity.lendKey(actor, 0.05);
  await sleep(100);
  await assert.rejects(core.identity.authenticateProjectKey(key), { code: 'token.invalid' });
  const { id, secret: other } = await core.identity.lendKey(actor, 60);
  assert.equal((await core.identity.authenticateProjectKey(other)).projectId, actor.projectId);
  // Of a person's key, it is no application's.
  await assert.rejects(core.identity.authenticateBearer(other), { code: 'token.invalid' });
  await core.identity.takeBackKey(actor, id);
  await assert.rejects(core.identity.authenticateProjectKey(other), { code: 'token.invalid' });
});

test('a key that was lent neither outlives the run nor makes or shows a key that does', async (t) => {
  const { runSource, call, base } = await scriptServer(t);
  const source = `
    const ask = async (method, path) => {
      const headers = { 'x-api-key': META.token, 'content-type': 'application/json' };
      const answer = await fetch(META.api_host + path, { method, headers, ...(method === 'POST' && { body: '{}' }) });
      return answer.status;
    };
    (async () => {
      console.log(JSON.stringify([
        await ask('GET', ARGS.base + 'classes/'),
        await ask('GET', ARGS.base + 'api_keys/'),
        await ask('POST', ARGS.base + 'api_keys/'),
        await ask('POST', '/v1.1/account/reset_key/'),
      ]));
      // Past what hides it in the output.
      console.log(META.token.split('').join(' '));
    })();
  `;
  const trace = await runSource(source, { base }, { config: { allow_full_access: true, timeout: 60 } });
  const [answers, spelled = ''] = (trace.result.stdout ?? '').split('\n');
  assert.equal(answers, '[200,403,403,403]', JSON.stringify(trace));
  const key = spelled.replaceAll(' ', '');
  assert.ok(key.length >= 30, spelled);
  assert.equal((await call('GET', 'classes/', undefined, key)).status, 403, 'taken back when the run was over');
  assert.equal((await call('GET', 'classes/')).status, 200, 'the key of the caller is as it was');
});

test('without a sandbox scripts run just the same, within their limits', async (t) => {
  const { runSource, base } = await scriptServer(t, { config: { runtime: 'plain' } });
  const source = `
    fetch(META.api_host + ARGS.base).then(({ status }) => {
      console.log(status, process.env.HOME !== ${JSON.stringify(process.env.HOME)});
      setResponse(new HttpResponse(202, 'x'));
    })`;
  const trace = await runSource(source, { base });
  assert.deepEqual([trace.status, trace.result.stdout, trace.result.response?.status], ['success', '403 true', 202]);
  assert.equal((await runSource('for (;;) {}', {}, { config: { timeout: 1 } })).status, 'timeout');
});
