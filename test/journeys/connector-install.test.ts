import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { airbyteClient } from '../support/airbyte.ts';
import { packageFolder, type Wheel } from '../support/connectors.ts';
import { needs } from '../support/needs.ts';
import { startPlatform } from '../support/platform.ts';
import { Command, dataDirectory, run } from './command.ts';

const TINY: Wheel = { name: 'airbyte-source-tiny', version: '1.0', scripts: ['tiny-tool', 'source-tiny'] };

/** The command over packages of our own; nothing is asked of the index. */
function commands(t: TestContext, wheels: Wheel[], data = dataDirectory(t)) {
  const { environment } = packageFolder(t, wheels);
  const args = (...words: string[]) => ['connector', ...words, '--data', data];
  return {
    data,
    programs: path.join(data, 'connectors', 'programs'),
    connector: (...words: string[]) => run(t, args(...words), { env: environment }),
    start: (...words: string[]) => new Command(t, args(...words), { env: environment }),
  };
}

test('a connector is installed, listed, made newer and removed', async (t) => {
  if (!needs(t, 'venv')) return;
  const { connector, programs } = commands(t, [TINY, { ...TINY, version: '1.1' }]);
  const first = await connector('install', 'airbyte-source-tiny==1.0', '--json');
  assert.equal(first.code, 0, first.stderr);
  const { definitionId, ...rest } = JSON.parse(first.stdout) as { definitionId: string };
  assert.match(definitionId, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  const facts = { package: 'airbyte-source-tiny', role: 'source', name: 'tiny', type: 'tiny' };
  assert.deepEqual(rest, { ...facts, version: '1.0', componentId: 'airbyte.source-tiny' });
  const again = await connector('install', 'Airbyte_Source.tiny==1.0');
  assert.equal(again.code, 0, again.stderr);
  assert.ok(again.ms < first.ms / 2, `a version that is there is not built again: ${again.ms} ms of ${first.ms}`);
  const newer = await connector('install', 'airbyte-source-tiny');
  assert.match(newer.stdout, /^airbyte-source-tiny 1\.1: source "tiny"/);
  const list = JSON.parse((await connector('list', '--json')).stdout) as { version: string }[];
  assert.deepEqual(
    list.map(({ version }) => version),
    ['1.1'],
  );
  assert.deepEqual(readdirSync(programs).sort(), ['airbyte-source-tiny-1.0', 'airbyte-source-tiny-1.1']);
  assert.equal((await connector('remove', 'airbyte-source-tiny')).code, 0);
  assert.deepEqual(readdirSync(programs), []);
  assert.equal((await connector('list')).stdout, '');
});

test('what is no connector is refused, and leaves nothing', async (t) => {
  if (!needs(t, 'venv')) return;
  const { connector, programs } = commands(t, [{ name: 'airbyte-source-library', version: '1.0' }]);
  const rows: [string, RegExp][] = [
    ['airbyte-source-library', /is no connector: it has no program/],
    ['airbyte-source-nowhere', /could not be installed:\n.*No matching distribution/s],
    ['requests', /is no connector: those are named/],
    ['--index-url=http://x', /unknown option/],
    ['git+https://example.com/x', /is no package/],
    ['./airbyte-source-x', /is no package/],
  ];
  for (const [name, problem] of rows) {
    const { code, stderr } = await connector('install', name);
    assert.equal(code, 1, `${name}: ${stderr}`);
    assert.match(stderr, problem, name);
    assert.deepEqual(existsSync(programs) ? readdirSync(programs) : [], [], name);
  }
  assert.equal((await connector('remove', 'airbyte-source-x')).code, 1);
});

test('an installation that is killed leaves nothing that counts, and the next one clears up', async (t) => {
  if (!needs(t, 'venv')) return;
  const { connector, start, programs } = commands(t, [TINY]);
  const killed = start('install', 'airbyte-source-tiny');
  const drafts = () => (existsSync(programs) ? readdirSync(programs) : []);
  while (!drafts().some((draft) => existsSync(path.join(programs, draft, 'bin')))) await sleep(5);
  killed.child.kill('SIGKILL');
  await killed.finished;
  assert.equal((await connector('list', '--json')).stdout.trim(), '[]');
  assert.equal(drafts().length, 1);
  const second = await connector('install', 'airbyte-source-tiny');
  assert.equal(second.code, 0, second.stderr);
  assert.deepEqual(drafts(), ['airbyte-source-tiny-1.0']);
});

test('a running server takes up a connector that is installed, and forgets one that is removed', async (t) => {
  if (!needs(t, 'venv')) return;
  const { url, dataDir, credentials, platform } = await startPlatform(t);
  const { call, workspaceId, untilEnd } = airbyteClient(url, credentials);
  const { connector } = commands(t, [TINY, { ...TINY, version: '1.1' }], dataDir);
  const configuration = { sourceType: 'tiny', count: 3, key: 'se-cret' };
  const refused = await call('POST', '/sources', { name: 'tiny', workspaceId, configuration });
  assert.deepEqual([refused.status, refused.body.title], [400, 'value-not-found']);

  const install = async (version: string) => {
    const done = await connector('install', `airbyte-source-tiny==${version}`);
    assert.equal(done.code, 0, done.stderr);
    await sleep(1500);
  };
  await install('1.0');
  const bad = await call('POST', '/sources', {
    name: 'tiny',
    workspaceId,
    configuration: { ...configuration, count: 0 },
  });
  assert.equal(bad.status, 422, bad.text);
  const source = await call('POST', '/sources', { name: 'tiny', workspaceId, configuration });
  assert.equal(source.status, 200, source.text);
  assert.deepEqual(source.body.configuration, { count: 3, key: '************' });
  const destination = await call('POST', '/destinations', {
    name: 'storage',
    workspaceId,
    configuration: { destinationType: 'millrace-storage' },
  });
  const connection = await call('POST', '/connections', {
    sourceId: source.body.sourceId,
    destinationId: destination.body.destinationId,
  });
  const { connectionId } = connection.body;
  const actor = await platform.core.identity.authenticateStorageToken(credentials.keboola.storageToken);
  const sync = async () => {
    const { body } = await call('POST', '/jobs', { connectionId, jobType: 'sync' });
    return untilEnd(Number(body.jobId));
  };
  const rows = async () =>
    (await platform.core.tables.preview(actor, 'in.c-airbyte.numbers', { limit: 100 })).rows.map(String).sort();
  const first = await sync();
  assert.deepEqual([first.status, first.rowsSynced], ['succeeded', 3], JSON.stringify(first));
  assert.deepEqual(await rows(), ['0,1.0', '1,1.0', '2,1.0']);
  await install('1.1');
  assert.equal((await sync()).status, 'succeeded');
  assert.deepEqual(await rows(), ['0,1.1', '1,1.1', '2,1.1']);

  mkdirSync(path.join(dataDir, 'connectors', 'programs'), { recursive: true });
  assert.equal((await connector('remove', 'airbyte-source-tiny')).code, 0);
  await sleep(1500);
  const definitions = await call('GET', '/connector_definitions?type=source');
  assert.ok(!definitions.text.includes('"tiny"'));
  const list = await call('GET', '/sources');
  assert.deepEqual([list.status, list.body.data], [200, []], 'what belongs to no connector is not shown');
});
