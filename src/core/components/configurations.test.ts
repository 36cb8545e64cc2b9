import assert from 'node:assert/strict';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { testDatabase } from '../../../test/support/database.ts';
import { type TestProject, testProject } from '../../../test/support/project.ts';
import { sql } from '../../db/sql.ts';
import { packageRoot } from '../../lib/package-root.ts';
import { Components } from './components.ts';
import type { Configuration } from './configuration-model.ts';
import { Configurations } from './configurations.ts';

const componentId = 'keboola.ex-http';

async function setUp(
  t: TestContext,
): Promise<TestProject & { configurations: Configurations; db: Awaited<ReturnType<typeof testDatabase>> }> {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const components = await Components.load(path.join(packageRoot, 'components'));
  return { ...project, db, configurations: new Configurations({ ...project, db, components }) };
}

const at = (configurationId: string) => ({ componentId, configurationId });
const rowIds = (configuration: Configuration) => configuration.rows.map((row) => row.id);

test('a new configuration has version 1, an id, and what was sent', async (t) => {
  const { configurations, actor, events } = await setUp(t);
  const created = await configurations.create(actor, componentId, { name: ' My config ' });
  assert.match(created.id, /^\d+$/);
  assert.equal(created.name, ' My config ');
  assert.equal(created.version, 1);
  assert.equal(created.changeDescription, 'Configuration created');
  assert.equal(created.configuration.text, '{}');
  assert.deepEqual(created.rows, []);
  assert.deepEqual(created.author, { tokenId: actor.token.id, description: actor.token.description });
  const [event] = await events.list(actor, { names: ['configuration.created'] });
  assert.equal(event?.message, 'Created component configuration " My config " (keboola.ex-http)');
  assert.equal(event?.objectId, created.id);
  assert.deepEqual(event?.params, {
    component: componentId,
    configurationId: created.id,
    name: ' My config ',
    version: 1,
  });
  await assert.rejects(configurations.create(actor, componentId, { id: created.id, name: 'again' }), {
    code: 'configuration.already-exists',
  });
  await assert.rejects(configurations.create(actor, 'no.such', { name: 'x' }), { code: 'component.not-found' });
  await assert.rejects(configurations.create(actor, componentId, { id: 'a b', name: 'x' }), {
    code: 'configuration.invalid-parameters',
  });
});

test('configuration and state keep key order, empty lists and objects, and the spelling of numbers', async (t) => {
  const { configurations, actor } = await setUp(t);
  const text = '{"10":{},"2":[],"z":1.0,"a":12345678901234567890,"e":{"a":{}}, "u":"\\u0000"}';
  const created = await configurations.create(actor, componentId, {
    name: 'x',
    configuration: text,
    state: ` ${text}`,
  });
  const stored = await configurations.get(actor, at(created.id));
  assert.equal(stored.configuration.text, text.replace(', ', ','));
  assert.equal(stored.state.text, text.replace(', ', ','));
  for (const bad of ['{', '"text"', '5', '']) {
    await assert.rejects(configurations.create(actor, componentId, { name: 'x', configuration: bad }), {
      code: 'configuration.invalid-content',
    });
  }
  await assert.rejects(configurations.updateState(actor, at(created.id), 'nothing'), {
    code: 'configuration.invalid-state',
  });
});

test('secrets lie in the database as ciphers only, and everything beside them as it was', async (t) => {
  const { configurations, actor, secrets, db } = await setUp(t);
  const created = await configurations.create(actor, componentId, {
    name: 'x',
    configuration: '{"2":1.0,"parameters":{"#password":"hunter2","list":[{"#pin":4711}]}}',
    state: '{"component":{"#token":"hunter2"}}',
  });
  await configurations.rows.create(actor, at(created.id), { configuration: '{"#row":"hunter2"}' });
  const dump = JSON.stringify([
    await db.query(sql`select configuration::text from configuration_versions`),
    await db.query(sql`select state::text from configurations`),
    await db.query(sql`select configuration::text from configuration_row_versions`),
  ]);
  assert.doesNotMatch(dump, /hunter2|4711/);
  assert.match(created.configuration.text, /^\{"2":1.0,"parameters":\{"#password":"KBC::ProjectSecure::/);
  const { value } = secrets.decryptTree(created.configuration.parse(), { projectId: actor.projectId, componentId });
  assert.deepEqual(value, { 2: 1, parameters: { '#password': 'hunter2', list: [{ '#pin': '4711' }] } });
  const again = await configurations.update(actor, at(created.id), { configuration: created.configuration.text });
  assert.equal(again.version, 2, 'saving what was read adds no version');
});

test('only a change of something versioned adds a version and an event', async (t) => {
  const { configurations, actor, events } = await setUp(t);
  const { id } = await configurations.create(actor, componentId, { name: 'x', configuration: '{"a":1}' });
  await configurations.rows.create(actor, at(id), { id: 'r1' });
  await configurations.rows.create(actor, at(id), { id: 'r2' });
  let version = 3;
  let identifier = (await configurations.get(actor, at(id))).versionIdentifier;
  const cases: [string, Parameters<Configurations['update']>[2], boolean][] = [
    ['nothing', {}, false],
    ['the same', { name: 'x', description: '', isDisabled: false, configuration: '{ "a": 1 }' }, false],
    ['state', { state: '{"s":1}' }, false],
    ['change description', { changeDescription: 'why' }, false],
    ['name', { name: 'y' }, true],
    ['description', { description: 'd', changeDescription: 'because' }, true],
    ['isDisabled', { isDisabled: true }, true],
    ['configuration', { configuration: '{"a":2}' }, true],
    ['spelling of a number', { configuration: '{"a":2.0}' }, true],
    ['list instead of object', { configuration: '[]' }, true],
    ['order', { rowsSortOrder: ['r2', 'r1'] }, true],
    ['same order', { rowsSortOrder: ['r2', 'r1'] }, false],
    ['order reset', { rowsSortOrder: [] }, true],
  ];
  for (const [what, patch, bumps] of cases) {
    const updated = await configurations.update(actor, at(id), patch);
    if (bumps) version++;
    assert.equal(updated.version, version, what);
    assert.equal(updated.versionIdentifier !== identifier, bumps, what);
    identifier = updated.versionIdentifier;
    if (bumps) assert.equal(updated.changeDescription, patch.changeDescription ?? 'Configuration updated');
  }
  const changes = await events.list(actor, { names: ['configuration.changed'] });
  assert.equal(changes.length, cases.filter(([, , bumps]) => bumps).length);
  assert.equal((await configurations.get(actor, at(id))).state.text, '{"s":1}');
});

test('the same holds for rows, whose changes are versions of the configuration too', async (t) => {
  const { configurations, actor, events } = await setUp(t);
  const { rows } = configurations;
  const { id } = await configurations.create(actor, componentId, { name: 'x' });
  const row = await rows.create(actor, at(id), { id: 'r1', name: 'row', configuration: '{"a":1}' });
  assert.equal(row.version, 1);
  assert.equal((await configurations.get(actor, at(id))).changeDescription, 'Row r1 added');
  const cases: [Parameters<typeof rows.update>[3], number, number][] = [
    [{}, 1, 2],
    [{ state: '{"x":1}', changeDescription: 'no change' }, 1, 2],
    [{ name: 'row', configuration: '{"a":1}' }, 1, 2],
    [{ name: 'new' }, 2, 3],
    [{ configuration: '{"a":2}', changeDescription: 'text' }, 3, 4],
    [{ isDisabled: true }, 4, 5],
  ];
  for (const [patch, rowVersion, version] of cases) {
    assert.equal((await rows.update(actor, at(id), 'r1', patch)).version, rowVersion, JSON.stringify(patch));
    assert.equal((await configurations.get(actor, at(id))).version, version, JSON.stringify(patch));
  }
  assert.equal((await configurations.get(actor, at(id))).changeDescription, 'Row r1 changed');
  await rows.updateState(actor, at(id), 'r1', '{"y":1}');
  await rows.delete(actor, at(id), 'r1');
  await assert.rejects(rows.get(actor, at(id), 'r1'), {
    code: 'configuration-row.not-found',
    message: 'Row r1 not found',
  });
  assert.equal((await configurations.get(actor, at(id))).changeDescription, 'Row r1 deleted');
  const again = await rows.create(actor, at(id), { id: 'r1' });
  assert.equal(again.version, 5, 'a row made again goes on counting');
  assert.equal(again.state.text, '{}');
  await assert.rejects(rows.create(actor, at(id), { id: 'r1' }), { code: 'configuration-row.already-exists' });
  const names = (await events.list(actor, { objectType: 'configuration-row', direction: 'asc' })).map(
    (event) => event.name,
  );
  const [created, changed, deleted] = ['created', 'changed', 'deleted'].map((verb) => `configuration-row.${verb}`);
  assert.deepEqual(names, [created, changed, changed, changed, deleted, created]);
  const [first] = await events.list(actor, { names: ['configuration-row.created'], direction: 'asc' });
  assert.equal(first?.message, 'Created component configuration row "r1" (keboola.ex-http)');
  assert.deepEqual(first?.params, {
    rowId: 'r1',
    name: 'row',
    version: 1,
    configuration: { component: componentId, configurationId: id, name: 'x', version: 2 },
  });
});

test('trash: deleted, not found, restored, purged', async (t) => {
  const { configurations, actor, events } = await setUp(t);
  await configurations.create(actor, componentId, { id: 'c', name: 'x', state: '{"s":1}' });
  await configurations.rows.create(actor, at('c'), { id: 'r' });
  await configurations.delete(actor, at('c'));
  await assert.rejects(configurations.get(actor, at('c')), { code: 'configuration.not-found' });
  await assert.rejects(configurations.update(actor, at('c'), { name: 'y' }), { code: 'configuration.not-found' });
  assert.equal((await configurations.list(actor)).length, 0);
  const [trashed] = await configurations.list(actor, { isDeleted: true });
  assert.equal(trashed?.version, 3);
  assert.equal(trashed?.changeDescription, 'Configuration deleted');

  const restored = await configurations.restore(actor, at('c'));
  assert.deepEqual(
    [restored.version, restored.changeDescription, rowIds(restored)],
    [4, 'Configuration restored', ['r']],
  );
  await assert.rejects(configurations.restore(actor, at('c')), { kind: 'not-found' });

  await configurations.delete(actor, at('c'));
  const recreated = await configurations.create(actor, componentId, {
    id: 'c',
    name: 'new',
    changeDescription: 'back',
  });
  assert.deepEqual([recreated.version, recreated.name, recreated.changeDescription], [6, 'new', 'back']);
  assert.deepEqual(rowIds(recreated), []);
  assert.equal(recreated.state.text, '{}');

  await configurations.delete(actor, at('c'));
  await configurations.delete(actor, at('c'));
  assert.deepEqual(await configurations.list(actor, { isDeleted: true }), []);
  await assert.rejects(configurations.delete(actor, at('c')), { code: 'configuration.not-found' });
  assert.equal((await configurations.create(actor, componentId, { id: 'c', name: 'anew' })).version, 1);
  const names = (await events.list(actor, { objectType: 'configuration', direction: 'asc' })).map(
    (event) => event.name,
  );
  assert.deepEqual(
    names,
    ['created', 'deleted', 'restored', 'deleted', 'restored', 'deleted', 'purged', 'created'].map(
      (v) => `configuration.${v}`,
    ),
  );
});

test('a rollback brings back content, rows and their order, and keeps states', async (t) => {
  const { configurations, actor } = await setUp(t);
  const { rows } = configurations;
  const { id } = await configurations.create(actor, componentId, { name: 'one', configuration: '{"n":1}' });
  for (const row of ['a', 'b', 'c']) await rows.create(actor, at(id), { id: row, configuration: `{"${row}":1}` });
  await configurations.update(actor, at(id), { rowsSortOrder: ['c', 'a', 'b'], state: '{"s":"kept"}' });
  const before = await configurations.get(actor, at(id));
  assert.deepEqual([before.version, rowIds(before)], [5, ['c', 'a', 'b']]);

  await configurations.update(actor, at(id), { name: 'two', configuration: '{"n":2}' });
  await rows.update(actor, at(id), 'a', { configuration: '{"a":2}' });
  await rows.updateState(actor, at(id), 'b', '{"b":"kept"}');
  await rows.delete(actor, at(id), 'b');
  await rows.create(actor, at(id), { id: 'd' });
  const changed = await configurations.get(actor, at(id));
  assert.deepEqual(
    [rowIds(changed), changed.rowsSortOrder],
    [
      ['c', 'a', 'd'],
      ['c', 'a'],
    ],
  );

  const old = await configurations.version(actor, at(id), 5);
  assert.deepEqual([old.name, rowIds(old), old.rows[1]?.configuration.text], ['one', ['c', 'a', 'b'], '{"a":1}']);

  const rolled = await configurations.rollback(actor, at(id), 5);
  assert.deepEqual([rolled.version, rolled.name, rolled.configuration.text], [10, 'one', '{"n":1}']);
  assert.equal(rolled.changeDescription, 'Rollback to version 5');
  assert.deepEqual(rowIds(rolled), ['c', 'a', 'b']);
  const [c, a, b] = rolled.rows;
  assert.deepEqual([c?.version, a?.version, b?.version], [1, 3, 2]);
  assert.equal(a?.changeDescription, 'Rollback to version 1 (via configuration rollback to version 5)');
  assert.deepEqual([rolled.state.text, b?.state.text], ['{"s":"kept"}', '{"b":"kept"}']);
  await assert.rejects(rows.get(actor, at(id), 'd'), { code: 'configuration-row.not-found' });
  assert.equal((await configurations.version(actor, at(id), 8)).rows.length, 2, 'history does not change');
  await assert.rejects(configurations.rollback(actor, at(id), 99), { message: 'Version 99 not found' });

  const versions = await configurations.versions(actor, at(id), { limit: 2, offset: 1 });
  assert.deepEqual(
    versions.map((version) => version.version),
    [9, 8],
  );
});

test('a row rolls back by itself', async (t) => {
  const { configurations, actor } = await setUp(t);
  const { rows } = configurations;
  await configurations.create(actor, componentId, { id: 'c', name: 'x' });
  await rows.create(actor, at('c'), { id: 'r', name: 'first', state: '{"s":1}' });
  await rows.update(actor, at('c'), 'r', { name: 'second' });
  const row = await rows.rollback(actor, at('c'), 'r', 1);
  assert.deepEqual(
    [row.version, row.name, row.changeDescription, row.state.text],
    [3, 'first', 'Rollback to version 1', '{"s":1}'],
  );
  assert.equal((await configurations.get(actor, at('c'))).changeDescription, 'Row r version 1 rollback');
  assert.deepEqual(
    (await rows.versions(actor, at('c'), 'r')).map((version) => version.name),
    ['first', 'second', 'first'],
  );
  await assert.rejects(rows.version(actor, at('c'), 'r', 9), { message: 'Version 9 not found' });
});

test('a copy starts at version 1 with the rows of the version copied', async (t) => {
  const { configurations, actor, events } = await setUp(t);
  const { rows } = configurations;
  await configurations.create(actor, componentId, { id: 'c', name: 'x', state: '{"s":1}' });
  await rows.create(actor, at('c'), { id: 'r', state: '{"row":1}' });
  await rows.update(actor, at('c'), 'r', { name: 'changed' });
  await rows.delete(actor, at('c'), 'r');
  const copy = await configurations.copy(actor, at('c'), 3, { name: 'copy' });
  assert.deepEqual([copy.version, copy.state.text, rowIds(copy)], [1, '{}', ['r']]);
  assert.equal(copy.changeDescription, 'Copied from configuration "x" (c) version 3');
  assert.deepEqual([copy.rows[0]?.version, copy.rows[0]?.name, copy.rows[0]?.state.text], [1, 'changed', '{"row":1}']);
  const [event] = await events.list(actor, { names: ['configuration.copied'] });
  assert.equal(event?.message, 'Copied component configuration "x" to "copy" (keboola.ex-http)');

  const row = await rows.copy(actor, at(copy.id), 'r', 1, { targetConfigurationId: 'c' });
  assert.deepEqual([row.version, row.state.text], [1, '{}']);
  const origin = `copied from configuration "copy" (${copy.id}) row r version 1`;
  assert.equal(row.changeDescription, `C${origin.slice(1)}`);
  assert.equal((await configurations.get(actor, at('c'))).changeDescription, `Row ${row.id} ${origin}`);
});

test('an order names every row exactly once, and forgets deleted ones', async (t) => {
  const { configurations, actor } = await setUp(t);
  const { rows } = configurations;
  await configurations.create(actor, componentId, { id: 'c', name: 'x' });
  for (const id of ['a', 'b']) await rows.create(actor, at('c'), { id });
  for (const rowsSortOrder of [['a'], ['a', 'b', 'z'], ['a', 'b', 'b']]) {
    await assert.rejects(configurations.update(actor, at('c'), { rowsSortOrder }), {
      code: 'configuration.invalid-row-order',
    });
  }
  await configurations.update(actor, at('c'), { rowsSortOrder: ['b', 'a'] });
  await rows.create(actor, at('c'), { id: '0' });
  assert.deepEqual(
    (await rows.list(actor, at('c'))).map((row) => row.id),
    ['b', 'a', '0'],
  );
  await rows.delete(actor, at('c'), 'b');
  assert.deepEqual((await configurations.get(actor, at('c'))).rowsSortOrder, ['a']);
});

test('simultaneous changes are all kept, each with its own version', async (t) => {
  const { configurations, actor } = await setUp(t);
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, () => configurations.create(actor, componentId, { id: 'c', name: 'x' })),
  );
  assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
  await Promise.all(Array.from({ length: 20 }, (_, i) => configurations.rows.create(actor, at('c'), { id: `r${i}` })));
  const configuration = await configurations.get(actor, at('c'));
  assert.deepEqual([configuration.version, configuration.rows.length], [21, 20]);
});

test('who may do what', async (t) => {
  const { configurations, actor, tokenActor } = await setUp(t);
  await configurations.create(actor, componentId, { id: 'c', name: 'x' });
  await configurations.create(actor, 'dummy', { id: 'd', name: 'y' });
  const manager = await tokenActor({ canManageBuckets: true });
  const scoped = await tokenActor({ componentAccess: [componentId] });
  const nobody = await tokenActor({ bucketPermissions: {} });
  const forbidden = { kind: 'forbidden' };
  assert.equal((await configurations.list(manager)).length, 2);
  assert.deepEqual(
    (await configurations.list(scoped)).map((one) => one.id),
    ['c'],
  );
  await configurations.update(scoped, at('c'), { name: 'z' });
  await assert.rejects(configurations.get(scoped, { componentId: 'dummy', configurationId: 'd' }), forbidden);
  await assert.rejects(configurations.get(nobody, at('c')), forbidden);
  await assert.rejects(configurations.list(nobody), forbidden);
  const reader = { ...actor, token: { ...actor.token, person: { ...actor.token.person!, role: 'readOnly' as const } } };
  assert.equal((await configurations.get(reader, at('c'))).id, 'c');
  await assert.rejects(configurations.update(reader, at('c'), { name: 'z' }), forbidden);
  await configurations.delete(manager, at('c'));
  await assert.rejects(configurations.delete(manager, at('c')), forbidden);
  const purger = await tokenActor({ canManageBuckets: true, canPurgeTrash: true });
  await configurations.delete(purger, at('c'));
  const stranger = { ...actor, projectId: 99, branchId: 99 };
  await assert.rejects(configurations.get(stranger, { componentId: 'dummy', configurationId: 'd' }), {
    kind: 'not-found',
  });
  assert.deepEqual(await configurations.list(stranger), []);
});

test('what a run has reached is kept whoever lost what right meanwhile, unless the configuration is gone', async (t) => {
  const { configurations, actor, db } = await setUp(t);
  const { id } = await configurations.create(actor, componentId, { name: 'x', state: '{"n":1}' });
  const keep = () =>
    db.transaction((tx) =>
      configurations.keepStateIn(tx, actor, at(id), (state) => JSON.stringify({ was: state.parse() })),
    );
  assert.equal(await keep(), true);
  assert.equal((await configurations.get(actor, at(id))).state.text, '{"was":{"n":1}}');
  assert.equal((await configurations.get(actor, at(id))).version, 1);
  await configurations.delete(actor, at(id));
  assert.equal(await keep(), false);
  await assert.rejects(configurations.updateState(actor, at(id), '{}'), { code: 'configuration.not-found' });
});
