import assert from 'node:assert/strict';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { testDatabase } from '../../../test/support/database.ts';
import { testProject } from '../../../test/support/project.ts';
import { systemClock } from '../../lib/clock.ts';
import { packageRoot } from '../../lib/package-root.ts';
import { Jobs } from '../jobs/jobs.ts';
import { Components } from './components.ts';
import { composeConnectors } from './compose-connectors.ts';
import { Configurations } from './configurations.ts';
import type { RunInput } from './run-definition.ts';

const componentId = 'keboola.duckdb-transformation';

async function setUp(t: TestContext) {
  const db = await testDatabase(t);
  const project = await testProject(db);
  const components = await Components.load(path.join(packageRoot, 'components'));
  const jobs = new Jobs({ db, events: project.events });
  const configurations = new Configurations({ ...project, db, components });
  const { runs } = composeConnectors({ ...project, db, clock: systemClock, components, configurations, jobs });
  return { ...project, jobs, configurations, runs };
}

test('a job keeps the version it was made with, and the inline configuration with its secrets as ciphers', async (t) => {
  const { configurations, runs, actor, secrets } = await setUp(t);
  await configurations.create(actor, componentId, { id: 'c', name: 'x', configuration: '{"runtime":{"tag":"7"}}' });
  await configurations.update(actor, { componentId, configurationId: 'c' }, { name: 'y' });
  const stored = await runs.start(actor, { componentId, configurationId: 'c' });
  assert.equal((stored.input as RunInput).configurationVersion, 2);
  assert.equal(stored.tag, '7');
  assert.match(stored.lockKey ?? '', /c$/);

  const inline = await runs.start(actor, { componentId, configurationId: 'never', configData: '{"#a":"b","x":1.0}' });
  const input = inline.input as RunInput;
  assert.equal(input.configurationVersion, null);
  assert.match(input.configData ?? '', /^\{"#a":"KBC::ProjectSecure::[^"]+","x":1\.0\}$/);
  const opened = secrets.decryptTree(JSON.parse(input.configData ?? ''), { projectId: actor.projectId, componentId });
  assert.deepEqual(opened.secrets, ['b']);
  assert.equal((await runs.start(actor, { componentId, configData: '{}' })).lockKey, undefined);
});

test('runs of one configuration in one branch share a lock, whichever rows they run', async (t) => {
  const { configurations, runs, actor } = await setUp(t);
  await configurations.create(actor, componentId, { id: 'c', name: 'x' });
  const first = await runs.start(actor, { componentId, configurationId: 'c' });
  const again = await runs.start(actor, { componentId, configurationId: 'c', rowIds: ['r'] });
  assert.equal(first.lockKey, again.lockKey);
  assert.match(first.lockKey ?? '', new RegExp(`:${actor.branchId}:`));
});

test('what may not run is refused before there is a job', async (t) => {
  const { configurations, runs, jobs, actor, tokenActor } = await setUp(t);
  await configurations.create(actor, componentId, { id: 'off', name: 'x', isDisabled: true });
  await configurations.create(actor, componentId, { id: 'gone', name: 'x' });
  await configurations.delete(actor, { componentId, configurationId: 'gone' });
  const scoped = await tokenActor({ componentAccess: ['dummy'] });
  const reader = { ...actor, token: { ...actor.token, person: { ...actor.token.person!, role: 'readOnly' as const } } };
  const cases: [() => Promise<unknown>, string][] = [
    [() => runs.start(actor, { componentId: 'no.such' }), 'component.not-found'],
    [() => runs.start(actor, { componentId: 'keboola.ex-http' }), 'component.not-installed'],
    [() => runs.start(actor, { componentId, configurationId: 'none' }), 'configuration.not-found'],
    [() => runs.start(actor, { componentId, configurationId: 'gone' }), 'configuration.not-found'],
    [() => runs.start(actor, { componentId, configurationId: 'off' }), 'configuration.disabled'],
    [() => runs.start(actor, { componentId, configData: '{' }), 'configuration.invalid-content'],
    [() => runs.start(scoped, { componentId }), 'run.component-forbidden'],
    [() => runs.start(reader, { componentId }), 'run.read-only-role'],
  ];
  for (const [attempt, code] of cases) await assert.rejects(attempt, { code });
  assert.deepEqual(await jobs.list(actor, {}, { limit: 10 }), []);
  assert.equal((await runs.start(actor, { componentId, configurationId: 'off', mode: 'forceRun' })).mode, 'forceRun');
});
