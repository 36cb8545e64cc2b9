import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { FILE, syncWorld } from '../../../test/support/sync-world.ts';

test('a CSV file arrives as it is: quotes, escapes, line ends, other alphabets, and what is no UTF-8', async (t) => {
  const world = await syncWorld(t);
  const file = path.join(world.localFolder, 'x.csv');
  const long = 'x'.repeat(700_000);
  const text = `\ufeffid,"a ""name""",c\r\n1,"says ""hi"", twice\nand more",\\\r\n2,,"\ttab"\r\n3,Plzeň 漢字,${long}\r\n\r\n4,"é`;
  await writeFile(file, Buffer.concat([Buffer.from(text), Buffer.from([0xe9]), Buffer.from('","last"')]));
  const source = await world.connector('source', FILE, { dataset_name: 's', url: file });
  const { streams } = await world.core.syncs.discover(world.actor, source.configurationId);
  assert.deepEqual(Object.keys(streams[0]?.json_schema.properties ?? {}), ['id', 'a "name"', 'c']);
  const [stream] = streams;
  assert.ok(stream);
  const plan = { sourceMode: 'full_refresh', destinationMode: 'overwrite', cursorField: [], primaryKey: [] } as const;
  const connection = await world.connect({
    source,
    settings: { streams: [{ stream, ...plan, cursorField: [], primaryKey: [] }] },
  });
  const job = await world.sync(connection);
  assert.equal(job.status, 'succeeded', JSON.stringify(job));
  const [columns, ...rows] = await world.rows('in.c-sync.s');
  assert.deepEqual(columns, ['id', 'a_name', 'c']);
  assert.deepEqual(
    rows.map((row) => [row[0], row[1], (row[2] ?? '').slice(0, 5)]),
    [
      ['1', 'says "hi", twice\nand more', '\\'],
      ['2', '', '\ttab'],
      ['3', 'Plzeň 漢字', 'xxxxx'],
      ['4', 'é\ufffd', 'last'],
    ],
  );
});

test('an incremental read loses no record that shares the last cursor value, nor one without any', async (t) => {
  const world = await syncWorld(t);
  const file = path.join(world.localFolder, 'x.csv');
  const text = 'id,at\n1,9\n2,10\n';
  await writeFile(file, text);
  const source = await world.connector('source', FILE, { dataset_name: 's', url: file });
  const streams = { s: { destinationMode: 'append_dedup', cursorField: ['at'] } } as const;
  const properties = { id: { type: 'string' }, at: { type: 'string' } };
  const connection = await world.connect({ source, streams: { s: { ...streams.s, cursorField: ['at'] } } });
  await world.core.connections.update(world.actor, connection.id, {
    settings: {
      streams: connection.settings.streams.map((one) => ({
        ...one,
        stream: { ...one.stream, json_schema: { type: 'object', properties } },
      })),
    },
  });
  assert.equal((await world.sync(connection)).status, 'succeeded');
  await writeFile(file, `${text}3,10\n4,\n5,11\n`);
  const second = await world.sync(connection);
  assert.equal((second.result as { rowsSynced: number }).rowsSynced, 4, 'the second one again, and three new ones');
  assert.deepEqual(await world.ids(), [1, 2, 3, 4, 5]);
  assert.equal((await world.state(connection)).streams?.[0]?.state, '{"cursor_field":"at","cursor":"11"}');
});

test('a local file is read in a folder that is open to sources, and nowhere else', async (t) => {
  const world = await syncWorld(t);
  const inside = path.join(world.localFolder, 'x.csv');
  await writeFile(inside, 'id\n1\n');
  await writeFile(path.join(world.directory, 'secret.csv'), 'id\n1\n');
  const check = async (url: string) => {
    const { configurationId } = await world.connector('source', FILE, { dataset_name: 's', url });
    return world.core.syncs.check(world.actor, 'source', configurationId);
  };
  assert.deepEqual(await check(inside), { isFine: true, message: '' });
  assert.equal((await check(`file://${inside}`)).isFine, true);
  for (const url of [
    path.join(world.directory, 'secret.csv'),
    path.join(world.localFolder, '../secret.csv'),
    '/etc/passwd',
    'config.json',
    '/proc/self/environ',
  ]) {
    const { isFine, message } = await check(url);
    assert.equal(isFine, false, url);
    assert.match(message, /is no file in a folder that this server opens to sources/, url);
  }
});
