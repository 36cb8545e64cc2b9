import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { packageRoot } from '../../lib/package-root.ts';
import { Components } from './components.ts';

test('the shipped definitions load, and the ones that clients expect are there', async () => {
  const components = await Components.load(path.join(packageRoot, 'components'));
  assert.deepEqual(components.get('keboola.duckdb-transformation').run, { builtin: 'sql' });
  assert.ok(components.get('keboola.python-transformation-v2').run);
  const expected =
    'wr-db transformation provisioning orchestrator keboola.orchestrator keboola.ex-1 keboola.ex-db-mysql ex-sfdc dummy ' +
    'keboola.app-custom-query-manager keboola.snowflake-transformation keboola.keboola-as-code keboola.storage ' +
    'keboola.ex-http keboola.flow keboola.scheduler keboola.variables keboola.shared-code queue keboola.oauth-v2 gooddata-writer';
  for (const id of expected.split(' ')) assert.ok(components.find(id), id);
  assert.equal(components.get('provisioning').servicePath, 'syrup/provisioning');
  assert.equal(components.get('keboola.ex-http').run, undefined);
});

test('an unknown component is not found', async () => {
  const components = await Components.load(path.join(packageRoot, 'components'));
  assert.equal(components.find('nobody.nothing'), undefined);
  assert.throws(() => components.get('nobody.nothing'), { code: 'component.not-found' });
});

test('every problem of the definitions is reported at once', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'components-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const id of ['acme.one', 'acme.two']) await mkdir(path.join(folder, id));
  await writeFile(path.join(folder, 'acme.one/component.json'), '{"id":"acme.one","type":"thing","name":"One"}');
  await writeFile(path.join(folder, 'acme.two/component.json'), '{"id":"acme.2","type":"other","name":"","run":{}}');
  await writeFile(path.join(folder, 'known.json'), '[{"id":"x","type":"other","name":"X","flags":"a"}]');
  await assert.rejects(Components.load(folder), (error: Error) => {
    for (const part of ['unknown type thing', 'name must be', 'run must be', 'flags must be', 'name of its folder']) {
      assert.match(error.message, new RegExp(part));
    }
    return true;
  });
});

async function installedFolder(t: TestContext) {
  const folder = await mkdtemp(path.join(tmpdir(), 'installed-'));
  t.after(() => rm(folder, { recursive: true }));
  const install = async (id: string, version: string, more: object = {}) => {
    const directory = path.join('programs', `${id}-${version}`);
    await mkdir(path.join(folder, directory), { recursive: true });
    const run = { command: ['{directory}/bin/x', '{directory}/bin/y'] };
    const connector = { role: 'source', uuid: 'u', slug: 'x', image: 'i', version, specification: { type: 'object' } };
    const definition = { id, type: 'extractor', name: id, directory, run, connector, ...more };
    await writeFile(path.join(folder, `${id}.json`), JSON.stringify(definition));
    return path.join(folder, directory);
  };
  return { folder, install };
}

test('what is installed takes the place of a known connector, also later, and leaves it again', async (t) => {
  const { folder, install } = await installedFolder(t);
  const id = 'airbyte.source-faker';
  const first = await install(id, '1.0');
  const components = await Components.load(path.join(packageRoot, 'components'), folder);
  assert.deepEqual(components.get(id).run, { command: [`${first}/bin/x`, `${first}/bin/y`] });
  const second = await install(id, '2.0');
  await install('airbyte.source-new', '1.0');
  await components.refresh();
  assert.deepEqual(components.get(id).run, { command: [`${second}/bin/x`, `${second}/bin/y`] });
  assert.equal(components.get(id).connector?.version, '2.0');
  assert.ok(components.get('airbyte.source-new').run);
  const ids = components.list().map((one) => one.id);
  assert.deepEqual(ids, [...new Set(ids)].sort());
  for (const name of [id, 'airbyte.source-new']) await rm(path.join(folder, `${name}.json`));
  await components.refresh();
  assert.equal(components.get(id).run, undefined);
  assert.equal(components.find('airbyte.source-new'), undefined);
});

test('an installed connector whose program is gone is not installed', async (t) => {
  const { folder, install } = await installedFolder(t);
  await rm(await install('airbyte.source-faker', '1.0'), { recursive: true });
  const components = await Components.load(path.join(packageRoot, 'components'), folder);
  assert.equal(components.get('airbyte.source-faker').run, undefined);
});

test('a broken installed definition is told once, and nothing else is lost over it', async (t) => {
  const { folder, install } = await installedFolder(t);
  await install('airbyte.source-faker', '1.0');
  const components = await Components.load(path.join(packageRoot, 'components'), folder);
  for (const [id, more, problem] of [
    ['airbyte.source-bad', { type: 'thing' }, /unknown type thing/],
    ['millrace.source-file', {}, /comes with the server/],
  ] as const) {
    await install(id, '1.0', more);
    await assert.rejects(components.refresh(), problem);
    await components.refresh();
    assert.ok(components.get('airbyte.source-faker').run);
    assert.equal(components.get('millrace.source-file').connector?.version, '1');
    await rm(path.join(folder, `${id}.json`));
  }
});

test('a pattern of another language in a specification is left out', async (t) => {
  const { folder, install } = await installedFolder(t);
  const properties = { a: { type: 'string', pattern: '(?i)^x++$' }, b: { type: 'string', pattern: '^[a-z]+$' } };
  const connector = { role: 'source', uuid: 'u', slug: 'x', image: 'i', version: '1', specification: { properties } };
  await install('airbyte.source-x', '1', { connector });
  const components = await Components.load(path.join(packageRoot, 'components'), folder);
  assert.deepEqual(components.get('airbyte.source-x').connector?.specification, {
    properties: { a: { type: 'string' }, b: { type: 'string', pattern: '^[a-z]+$' } },
  });
});
