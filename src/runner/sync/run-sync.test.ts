import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attemptsOf, DESTINATION, syncWorld, upTo } from '../../../test/support/sync-world.ts';
import { sql } from '../../db/sql.ts';

const error = (message: string, failure_type = 'system_error') => ({ type: 'ERROR', error: { message, failure_type } });

test('full refresh replaces or appends, incremental appends or deduplicates, each with its state', async (t) => {
  const world = await syncWorld(t);
  const steps = [{ records: 3, stream: 'a' }, { records: 3, stream: 'b' }, { records: 3 }, { state: 's' }];
  const connection = await world.connect({
    steps: [...steps, { records: 2, stream: 'd' }, { state: 'd' }],
    streams: {
      a: { sourceMode: 'full_refresh', destinationMode: 'overwrite' },
      b: { sourceMode: 'full_refresh', destinationMode: 'append' },
      s: {},
      d: { destinationMode: 'append_dedup' },
    },
  });
  const first = await world.sync(connection);
  assert.equal(first.status, 'succeeded', JSON.stringify(first));
  const second = await world.sync(connection);
  assert.deepEqual(
    attemptsOf(second).map(({ status, records }) => [status, records]),
    [['succeeded', 11]],
  );
  assert.deepEqual(await world.ids('in.c-sync.a'), [1, 2, 3]);
  assert.deepEqual(await world.ids('in.c-sync.b'), [1, 1, 2, 2, 3, 3]);
  assert.deepEqual(await world.ids(), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(await world.ids('in.c-sync.d'), [1, 2, 3, 4]);
  const { streams = [] } = await world.state(connection);
  assert.deepEqual(
    streams.map(({ name, state }) => [name, state]),
    [
      ['s', '{"id":6}'],
      ['d', '{"id":4}'],
    ],
  );
  await world.until('an empty work folder', async () => (await world.workFolders()).length === 0);
});

test('a record of the same key takes the place of the one before it, in one sync and over several', async (t) => {
  const world = await syncWorld(t);
  const record = (id: number, name: string) => ({
    line: JSON.stringify({ type: 'RECORD', record: { stream: 's', data: { id, name }, emitted_at: 1 } }),
  });
  const connection = await world.connect({
    steps: [record(1, 'old'), record(2, 'x'), record(1, 'new'), { state: 's' }],
    streams: { s: { destinationMode: 'append_dedup' } },
  });
  await world.sync(connection);
  assert.deepEqual(await world.rows('in.c-sync.s'), [
    ['id', 'name'],
    ['1', 'new'],
    ['2', 'x'],
  ]);
  await world.change(connection.source, { steps: [record(2, 'y'), { state: 's' }] as never });
  await world.sync(connection);
  assert.deepEqual(await world.rows('in.c-sync.s'), [
    ['id', 'name'],
    ['1', 'new'],
    ['2', 'y'],
  ]);
});

test('states of every kind come back to the source as they were, digit for digit', async (t) => {
  const world = await syncWorld(t);
  for (const [kind, line, file] of [
    [
      'global',
      '{"type":"STATE","state":{"type":"GLOBAL","global":{"shared_state":{"lsn":9007199254740993123},"stream_states":[]}}}',
      /9007199254740993123/,
    ],
    ['legacy', '{"type":"STATE","state":{"data":{"10":1,"9":1.0}}}', /\{"10":1,"9":1\.0\}/],
    [
      'stream',
      '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"s"},"stream_state":{"b":1.50,"a":2}}}}',
      /"b":1\.50,"a":2/,
    ],
  ] as const) {
    const connection = await world.connect({ steps: [{ records: 1 }, { line }], destinationId: DESTINATION });
    assert.equal((await world.sync(connection)).status, 'succeeded', kind);
    assert.match(
      JSON.parse(JSON.stringify(Object.values(await world.state(connection))))
        .flat()
        .map((v: { state?: string }) => v?.state ?? v)
        .join(),
      file,
    );
    await world.change(connection.source, { steps: [{ said: true }] as never });
    const again = await world.sync(connection);
    // What the source was given, parsed by it.
    const [said = ''] = (await world.said(again)).filter(
      (text) => text.includes('state {') || text.includes('state ['),
    );
    assert.match(said, kind === 'legacy' ? /state \{/ : /state \[/);
  }
});

test('a state of another mode, cursor or key than now is not given to the source', async (t) => {
  const world = await syncWorld(t);
  const connection = await world.connect({
    steps: [{ said: true }, { records: 2 }, { state: 's' }],
    destinationId: DESTINATION,
  });
  await world.sync(connection);
  const [stream] = connection.settings.streams;
  assert.ok(stream);
  await world.core.connections.update(world.actor, connection.id, {
    settings: { streams: [{ ...stream, cursorField: ['name'] }] },
  });
  const job = await world.sync(connection);
  assert.ok((await world.said(job)).some((text) => text.includes('state null')));
});

test('an attempt that dies keeps what it had committed, and the next goes on from there', async (t) => {
  const world = await syncWorld(t);
  for (const destinationId of ['millrace.destination-storage', DESTINATION]) {
    const connection = await world.connect({
      steps: [
        { records: 5, upTo: 20 },
        { state: 's' },
        { records: 3, until: 20, upTo: 20 },
        { kill: true, from: 15 },
        { records: 20, upTo: 20 },
        { state: 's' },
      ],
      streams: { s: {} },
      destinationId,
    });
    const job = await world.sync(connection);
    assert.equal(job.status, 'succeeded', JSON.stringify(job));
    assert.deepEqual(
      attemptsOf(job).map(({ status, records }) => [status, records]),
      [
        ['failed', 5],
        ['failed', 5],
        ['failed', 5],
        ['succeeded', 5],
      ],
      JSON.stringify(job.result),
    );
    assert.match(attemptsOf(job)[0]?.failure ?? '', /^The source ended with exit code 137\.$/);
    assert.equal((await world.state(connection)).streams?.[0]?.state, '{"id":20}');
  }
  assert.deepEqual(await world.ids(), upTo(20), 'no row is lost or doubled, although it is only appended');
});

test('between attempts a sync gives its place to others, keeps what it knows, and can be cancelled', async (t) => {
  const world = await syncWorld(t, { firstBackoffMs: 3_600_000 });
  const { core, actor, db } = world;
  const connection = await world.connect({ steps: [{ trace: error('Busy') }] });
  const isWaiting = (id: number) => async () => (await core.jobs.get(actor, id)).status === 'waiting';
  const job = await core.syncs.sync(actor, connection.id);
  await world.until('the job waits', isWaiting(job.id));
  assert.ok((await core.jobs.get(actor, job.id)).availableAt.getTime() > Date.now() + 1_500_000);
  assert.deepEqual(await world.workFolders(), []);
  await assert.rejects(core.syncs.sync(actor, connection.id), { code: 'sync.already-running' });
  await world.change(connection.source, { steps: [{ records: 2 }, { state: 's' }] as never });
  await db.query(sql`update jobs set available_at = now() where id = ${job.id}`);
  const ended = await world.end(job);
  assert.deepEqual(
    attemptsOf(ended).map(({ status, records }) => [status, records]),
    [
      ['failed', 0],
      ['succeeded', 2],
    ],
  );
  await world.change(connection.source, { steps: [{ trace: error('Busy') }] as never });
  const second = await core.syncs.sync(actor, connection.id);
  await world.until('the second waits', isWaiting(second.id));
  await core.syncs.cancel(actor, second.id);
  assert.equal((await world.end(second)).status, 'cancelled');
  assert.deepEqual(await world.workFolders(), []);
});

test('rows of a long sync are committed with their state while it goes on', async (t) => {
  const world = await syncWorld(t);
  const connection = await world.connect({
    steps: [{ records: 5 }, { state: 's' }, { records: 5 }, { state: 's' }, { records: 2 }, { hang: true }],
    destination: { bucket: 'in.c-sync', checkpoint_seconds: 0 },
  });
  const job = await world.core.syncs.sync(world.actor, connection.id);
  await world.until('ten rows', async () => (await world.ids().catch(() => [])).length === 10);
  assert.equal((await world.state(connection)).streams?.[0]?.state, '{"id":10}');
  const killed = performance.now();
  await world.core.syncs.cancel(world.actor, job.id);
  assert.equal((await world.end(job)).status, 'stopped');
  assert.ok(performance.now() - killed < 5000);
  assert.deepEqual(world.programs(job), []);
  assert.deepEqual(await world.workFolders(), []);
  assert.deepEqual(await world.ids(), upTo(10), 'what no state stands behind is not there');
  assert.equal((await world.state(connection)).streams?.[0]?.state, '{"id":10}');
});

test('a stream that is read in full and breaks off leaves its table as it was', async (t) => {
  const world = await syncWorld(t);
  const streams = {
    s: { sourceMode: 'full_refresh', destinationMode: 'overwrite' },
    b: { sourceMode: 'full_refresh', destinationMode: 'append' },
  } as const;
  const connection = await world.connect({ steps: [{ records: 3 }, { records: 2, stream: 'b' }], streams });
  await world.sync(connection);
  await world.change(connection.source, {
    steps: [
      { records: 1 },
      { state: 's' },
      { records: 1, stream: 'b' },
      { state: 'b' },
      { trace: error('Bad key', 'config_error') },
    ] as never,
  });
  const job = await world.sync(connection);
  assert.equal(job.status, 'failed');
  assert.deepEqual([job.error?.code, job.error?.message], ['sync.source-failed', 'Bad key']);
  assert.equal(attemptsOf(job).length, 1, 'what only a person can put right is not tried again');
  assert.deepEqual(await world.ids(), [1, 2, 3]);
  assert.deepEqual(await world.ids('in.c-sync.b'), [1, 2]);
});

test('what goes wrong in a source is told as what it is', async (t) => {
  const world = await syncWorld(t, { exitGraceMs: 300, sourceSilenceMs: 1500, uselessInARow: 1 });
  const record = '{"type":"RECORD","record":{"stream":"s","data":';
  const cases = [
    [{ trace: error('The API said no') }, /^The API said no$/],
    [{ exit: 3 }, /ended with exit code 3/],
    [{ part: `${record}{"id":9,"na`, kill: true }, /ended with exit code 137/],
    [{ part: `${record}{"id":9,"na` }, /ended in the middle of a message/],
    [{ line: `${record}{"id":9` }, /a message that is not JSON/],
    [{ line: `${record}[1]}}` }, /whose data is no object/],
    [{ line: '{"type":"RECORD","record":{"data":{}}}' }, /a record of no stream/],
    [{ line: '{"type":"RECORD","record":{"stream":"t","data":{}}}' }, /stream "t", which was not asked for/],
    [{ line: '{"type":"STATE","state":{"type":"STREAM","stream":{}}}' }, /a state that cannot be read/],
    [{ state: 'global' }, /a global state after stream ones/],
    [{ status: 'INCOMPLETE' }, /stream "s" did not come to its end/],
    [{ status: 'RUNNING' }, /stream "s" did not come to its end/],
    [{ hang: true }, /The source sent nothing for 1\.5 s/],
    // Which of the two it is depends on who else holds its output open.
    [{ close: true }, /sent nothing for 1\.5 s|did not end within 0\.3 s of its last output/],
  ] as const;
  const check = async ([step, expected]: (typeof cases)[number]) => {
    const connection = await world.connect({ steps: [{ records: 2, upTo: 2 }, { state: 's' }, step] });
    const job = await world.sync(connection);
    assert.equal(job.status, 'failed', `${JSON.stringify(step)} ${JSON.stringify(job.result)}`);
    assert.equal(job.error?.code, 'sync.source-failed');
    assert.match(job.error?.message ?? '', expected, JSON.stringify(step));
    assert.equal((await world.state(connection)).streams?.[0]?.state, '{"id":2}', JSON.stringify(step));
    assert.deepEqual(world.programs(job), []);
  };
  // All of them to their end, or they go on in a world that is gone.
  const ended = await Promise.allSettled(cases.map(check));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
});

test('whatever else a source prints is for the log', async (t) => {
  const world = await syncWorld(t);
  const connection = await world.connect({
    steps: [
      { line: '\ufeffstarting ...' },
      { line: '' },
      { line: '{"level":"info"}' },
      { line: '{"type":"FUTURE","x":1}' },
      { records: 1 },
      { line: '{ "type" : "RECORD", "record": {"emitted_at":1, "data": {"id": 2, "name": "two"}, "stream": "s"} }\r' },
      { line: '[1,2]' },
      { state: 's' },
      { part: '{"type":"RECORD","record":{"stream":"s","data":{"id":3,"name":"x"},"emitted_at":1}}' },
    ],
  });
  const job = await world.sync(connection);
  assert.equal(job.status, 'succeeded', JSON.stringify(job));
  assert.deepEqual(await world.ids(), [1, 2, 3]);
  const said = (await world.said(job)).join('\n');
  for (const part of ['source: \ufeffstarting ...', '{"level":"info"}', 'unknown type "FUTURE"', '[1,2]'])
    assert.ok(said.includes(part), part);
});

test('what goes wrong in a destination is told as what it is, and confirms nothing more', async (t) => {
  const world = await syncWorld(t, { destinationSilenceMs: 1500, uselessInARow: 1 });
  const cases = [
    [{ dieAfter: 4, trace: { message: 'Disk full', failure_type: 'config_error' } }, /^Disk full$/],
    [{ dieAfter: 4 }, /ended with exit code 1/],
    [{ leaveAfter: 4 }, /ended before it had taken everything/],
    [{ hangAfter: 4 }, /took nothing for 1\.5 s/],
  ] as const;
  const check = async ([destination, expected]: (typeof cases)[number]) => {
    const connection = await world.connect({
      steps: [{ records: 3, upTo: 3 }, { state: 's' }, { records: 200_000 }, { state: 's' }],
      destination,
      destinationId: DESTINATION,
    });
    const job = await world.sync(connection);
    assert.equal(job.status, 'failed', JSON.stringify(destination));
    assert.deepEqual(job.error?.code, 'sync.destination-failed');
    assert.match(job.error?.message ?? '', expected);
    const state = (await world.state(connection)).streams?.[0]?.state;
    assert.ok(state === undefined || state === '{"id":3}', state);
    assert.deepEqual(world.programs(job), []);
  };
  // All of them to their end, or they go on in a world that is gone.
  const ended = await Promise.allSettled(cases.map(check));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;
});

test('a destination may leave states out and write them anew; one that confirms none keeps the old state', async (t) => {
  const world = await syncWorld(t);
  const steps = [{ records: 2 }, { state: 's' }, { records: 2 }, { state: 's' }];
  const lazy = await world.connect({ steps, destinationId: DESTINATION, destination: { echo: 'rewritten' } });
  assert.equal((await world.sync(lazy)).status, 'succeeded');
  assert.equal((await world.state(lazy)).streams?.[0]?.state, '{"id":4}');
  const mute = await world.connect({ steps, destinationId: DESTINATION, destination: { echo: 'none' } });
  const job = await world.sync(mute);
  assert.equal(job.status, 'succeeded');
  assert.deepEqual((await world.state(mute)).streams, []);
  assert.ok((await world.said(job)).some((text) => text.includes('did not confirm 2 states')));
});

test('streams get other names on their way, and states come back under their own', async (t) => {
  const world = await syncWorld(t);
  const connection = await world.connect({
    steps: [{ records: 3 }, { state: 's' }, { records: 2, stream: 'u' }, { state: 'u' }],
    streams: { s: {}, u: {} },
    destinationId: DESTINATION,
    destination: { says: true },
    settings: { prefix: 'p_', namespace: { definition: 'custom', format: 'x${SOURCE_NAMESPACE}' } },
  });
  const job = await world.sync(connection);
  const said = (await world.said(job)).join('\n');
  assert.ok(said.includes('records {"x.p_s":3,"x.p_u":2}'), said);
  assert.ok(said.includes('"sourceStats":{"recordCount":3}') && said.includes('"sourceStats":{"recordCount":2}'), said);
  assert.deepEqual(
    (await world.state(connection)).streams?.map(({ name }) => name),
    ['s', 'u'],
  );
});

test('rows without the key that they shall have are no base to deduplicate upon', async (t) => {
  const world = await syncWorld(t);
  const connection = await world.connect({ steps: [{ records: 2 }, { state: 's' }] });
  await world.sync(connection);
  const streams = connection.settings.streams.map((one) => ({ ...one, destinationMode: 'append_dedup' as const }));
  await world.core.connections.update(world.actor, connection.id, { settings: { streams } });
  const job = await world.sync(connection);
  assert.equal(job.status, 'failed');
  assert.match(job.error?.message ?? '', /primary key of table in\.c-sync\.s/);
  assert.equal((await world.end(await world.core.syncs.reset(world.actor, connection.id))).status, 'succeeded');
  assert.equal((await world.sync(connection)).status, 'succeeded');
  assert.deepEqual(await world.ids(), [1, 2]);
});
