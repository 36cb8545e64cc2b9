import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
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
