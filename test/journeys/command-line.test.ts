import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Command, dataDirectory, run } from './command.ts';

test('every command explains itself', async (t) => {
  const commands = [
    [],
    ['up'],
    ['serve'],
    ['project'],
    ['project', 'create'],
    ['config'],
    ['config', 'print'],
    ['doctor'],
  ];
  for (const command of commands) {
    const { code, stdout, stderr } = await run(t, [...command, '--help']);
    assert.deepEqual([code, stderr], [0, ''], command.join(' '));
    assert.match(stdout, /^Usage: millrace/);
  }
});

test('the version is that of the package', async (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  assert.equal((await run(t, ['--version'])).stdout, `${version}\n`);
});

test('what is no command or no option is the user’s mistake', async (t) => {
  for (const args of [['fly'], ['up', '--prot', '1'], ['serve', '--roles', 'http,cook'], ['project', 'create']]) {
    const { code, stdout, stderr } = await run(t, args);
    assert.deepEqual([code, stdout], [1, ''], args.join(' '));
    assert.notEqual(stderr, '');
  }
});

test('config print shows every setting with its source and no secret', async (t) => {
  const folder = dataDirectory(t);
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'millrace.yaml'), 'port: 9000\n');
  const env = { DATABASE_URL: 'postgres://me:hunter2@db/x', MILLRACE_HOST: '0.0.0.0' };
  const text = await run(t, ['config', 'print', '--data', folder], { cwd: folder, env });
  assert.equal(text.code, 0);
  assert.match(text.stdout, /^port +9000 {2}\(file\)$/m);
  assert.match(text.stdout, /^host +0\.0\.0\.0 {2}\(environment\)$/m);
  assert.ok(!text.stdout.includes('hunter2'));
  const json = await run(t, ['config', 'print', '--data', folder, '--json'], { cwd: folder, env });
  assert.equal(json.stdout.trim().split('\n').length, 1);
  assert.deepEqual(JSON.parse(json.stdout).dataDirectory, { value: folder, source: 'flag' });
});

test('doctor prints one line per check, and the remedy for what is wrong', async (t) => {
  const data = dataDirectory(t);
  const { stdout } = await run(t, ['doctor', '--data', data, '--port', '0']);
  for (const name of ['node', 'postgres', 'duckdb', 'bubblewrap', 'python3', 'data', 'disk', 'port']) {
    assert.match(stdout, new RegExp(`^(ok  |warn|fail) ${name}: .+\\.$`, 'm'));
  }
  const broken = await run(t, ['doctor', '--data', data, '--json'], {
    env: { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/x' },
  });
  assert.equal(broken.code, 1);
  const findings = JSON.parse(broken.stdout) as { name: string; result: string; remedy?: string }[];
  const postgres = findings.find(({ name }) => name === 'postgres');
  assert.equal(postgres?.result, 'fail');
  assert.ok(postgres?.remedy);
});

test('project create makes a tenant that the running server lets in', async (t) => {
  const data = dataDirectory(t);
  const server = new Command(t, ['up', '--data', data, '--port', '0', '--json']);
  const { url } = await server.ready();
  const made = await run(t, ['project', 'create', 'My Shop', '--data', data, '--json']);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(made.stdout.trim().split('\n').length, 1);
  const credentials = JSON.parse(made.stdout);
  assert.deepEqual(Object.keys(credentials), ['url', 'project', 'keboola', 'airbyte', 'syncano']);
  assert.equal(credentials.url, url);
  assert.deepEqual(Object.keys(credentials.keboola), ['storageToken']);
  assert.deepEqual([credentials.project.name, credentials.project.slug], ['My Shop', 'my-shop']);
  const verified = await fetch(`${url}/v2/storage/tokens/verify`, {
    headers: { 'X-StorageApi-Token': credentials.keboola.storageToken },
  });
  assert.equal(verified.status, 200);
  assert.equal(((await verified.json()) as { owner: { id: number } }).owner.id, credentials.project.id);

  const text = await run(t, ['project', 'create', 'Second', '--data', data]);
  assert.match(text.stdout, /keboola\.storageToken +\S+/);
  const refused = await run(t, ['project', 'create', 'Third', '--data', data], {
    env: { MILLRACE_MANAGE_TOKEN: 'wrong' },
  });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /answered 401/);
});

test('project create says what to do when there is no server', async (t) => {
  const data = dataDirectory(t);
  const nothing = await run(t, ['project', 'create', 'Shop', '--data', data]);
  assert.equal(nothing.code, 1);
  assert.match(nothing.stderr, /--data/);
  const dead = await run(t, ['project', 'create', 'Shop', '--url', 'http://127.0.0.1:1'], {
    env: { MILLRACE_MANAGE_TOKEN: 'x' },
  });
  assert.equal(dead.code, 1);
  assert.match(dead.stderr, /millrace up/);
});
