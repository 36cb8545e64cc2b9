import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../test/support/keboola.ts';
import { CONNECTION_COMPONENT } from '../../core/components/connection-model.ts';
import { sql } from '../../db/sql.ts';

test('a connection keeps its schedule as it was written, syncs by it, and refuses what is none', async (t) => {
  const server = await keboolaServer(t);
  const { core, actor, db } = server;
  const connector = async (role: 'source' | 'destination', slug: string, configuration: Record<string, string>) => {
    const definition = core.connectors.definition(role, { slug });
    const { id } = await core.connectors.create(actor, definition, { name: 'x', configuration });
    return { componentId: definition.id, configurationId: id };
  };
  const { id } = await core.connections.create(actor, {
    name: 'x',
    isActive: true,
    settings: {
      source: await connector('source', 'millrace-file', { dataset_name: 'x', url: 'x' }),
      destination: await connector('destination', 'millrace-storage', {}),
      namespace: { definition: 'destination' },
      prefix: '',
      schedule: { type: 'manual' },
      schemaChanges: 'ignore',
      streams: [],
    },
  });
  const { clientId, clientSecret } = server.credentials.airbyte;
  const authorization = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`;
  const patch = async (change: object) => {
    const options = { token: null, headers: { authorization }, payload: change };
    const answer = await server.call('PATCH', `/v1/connections/${id}`, options);
    return { status: answer.status, body: answer.json<{ schedule: object; detail: string; title: string }>() };
  };
  const row = async () =>
    (await core.schedules.list(actor, { componentId: CONNECTION_COMPONENT, configurationId: id }, { limit: 5 }))[0];
  const cases: [object, object, object | undefined][] = [
    [
      { scheduleType: 'cron', cronExpression: '0 0/15 * * * ?' },
      { scheduleType: 'cron', cronExpression: '0 0/15 * * * ? UTC' },
      { type: 'cron', expression: '0 0/15 * * * ?', timezone: 'UTC' },
    ],
    [
      { scheduleType: 'cron', cronExpression: '0 0 12 ? * MON-FRI 2026-2099 UTC' },
      { scheduleType: 'cron', cronExpression: '0 0 12 ? * MON-FRI 2026-2099 UTC' },
      { type: 'cron', expression: '0 0 12 ? * MON-FRI 2026-2099', timezone: 'UTC' },
    ],
    [
      { scheduleType: 'cron', cronExpression: '0 0 12 * * ? Europe/Prague' },
      { scheduleType: 'cron', cronExpression: '0 0 12 * * ? Europe/Prague' },
      { type: 'cron', expression: '0 0 12 * * ?', timezone: 'Europe/Prague' },
    ],
    [
      { scheduleType: 'basic', basicTiming: 'Every 24 HOURS' },
      { scheduleType: 'basic', basicTiming: 'Every 24 HOURS' },
      { type: 'interval', seconds: 86_400, timezone: 'UTC' },
    ],
    [{ scheduleType: 'manual' }, { scheduleType: 'manual' }, undefined],
  ];
  for (const [written, read, kept] of cases) {
    const answer = await patch({ schedule: written });
    assert.deepEqual([answer.status, answer.body.schedule], [200, read]);
    assert.deepEqual((await row())?.recurrence, kept);
  }
  const refused: [object, RegExp][] = [
    [{ scheduleType: 'cron' }, /needs a cronExpression/],
    [{ scheduleType: 'cron', cronExpression: '* * * * *' }, /six or seven fields/],
    [{ scheduleType: 'cron', cronExpression: '* * * * * ?' }, /more than once a minute/],
    [{ scheduleType: 'cron', cronExpression: '0/5 * * * * ?' }, /more than once a minute/],
    [{ scheduleType: 'cron', cronExpression: '0 61 * * * ?' }, /no cron expression/],
    [{ scheduleType: 'cron', cronExpression: '0 0 12 1 * MON' }, /has to be "\?"/],
    [{ scheduleType: 'cron', cronExpression: '0 0 12 * * ? Mars/Base' }, /no time zone/],
    [{ scheduleType: 'cron', cronExpression: '0 0 12 1 1 ? 1999' }, /never comes/],
    [{ scheduleType: 'basic' }, /basicTiming/],
    [{ scheduleType: 'basic', basicTiming: 'Every 0 HOURS' }, /between one minute and ten years/],
    [{ scheduleType: 'basic', basicTiming: 'Every now and then' }, /basicTiming/],
    [{ scheduleType: 'hourly' }, /./],
  ];
  for (const [schedule, detail] of refused) {
    const answer = await patch({ schedule });
    assert.deepEqual([answer.status, answer.body.title], [400, 'bad-request'], JSON.stringify(schedule));
    assert.match(answer.body.detail, detail);
  }
  await patch({ schedule: { scheduleType: 'cron', cronExpression: '0 0 * * * ?' } });
  await db.query(sql`update schedules set next_run_at = now() - interval '1 second'`);
  assert.equal((await core.occurrences.handleNext())?.outcome, 'started');
  const [job] = await core.syncs.list(actor, {}, { limit: 1 });
  assert.deepEqual([job?.kind, job?.configurationId], ['sync', id]);
  const queue = await server.call('GET', '/queue/jobs');
  assert.ok(queue.body.includes(`"${job?.id}"`), 'the job is in the Queue API');
  const events = await server.call('GET', '/v2/storage/events?component=millrace.connection');
  assert.ok(events.body.includes('storage.scheduleCreated'), events.body.slice(0, 300));
  await patch({ status: 'inactive' });
  assert.equal((await row())?.nextRunAt, undefined);
});
