import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { syncanoPlatform } from '../../../test/support/syncano-platform.ts';

type Row = { id: number; revision: number; [name: string]: unknown };
type Listing = { objects: Row[]; objects_count: number };
type JobBody = { id: string; status: string; result: { message: string } };

const CSV = '"sku","price","at"\n"a","1.5","2025-01-01 10:00:00+02:00"\n"b","2","2025-01-02"\n"c","",""';

test('the component that writes a table into a class', async (t) => {
  const { call, storage, table, load } = await syncanoPlatform(t);
  const source = await table('items', CSV, 'sku');
  const run = async (parameters: object, tables: object[] = [{ source, destination: 'items.csv' }]) => {
    const made = await storage<JobBody>('POST', '/queue/jobs', {
      component: 'millrace.wr-objects',
      mode: 'run',
      configData: { parameters, storage: { input: { tables } } },
    });
    assert.equal(made.status, 201, made.text);
    for (;;) {
      const { body } = await storage<JobBody>('GET', `/queue/jobs/${made.body.id}`);
      if (!['created', 'waiting', 'processing', 'terminating'].includes(body.status)) return body;
      await sleep(50);
    }
  };
  const read = async (name: string) =>
    (await call<Listing>('GET', `classes/${name}/objects/?order_by=id&include_count=1`)).body.objects;
  const fields = [
    { name: 'sku', type: 'string' },
    { name: 'cost', column: 'price', type: 'float', order_index: true, filter_index: true },
    { name: 'at', type: 'datetime' },
  ];

  await t.test('makes the class of the columns and the fields given, and fills it', async () => {
    const job = await run({ class: 'Item', mode: 'upsert', key: 'sku', create_class: true, fields });
    assert.equal(job.status, 'success', JSON.stringify(job.result));
    const rows = await read('item');
    assert.deepEqual(
      rows.map(({ sku, cost, at, revision }) => [sku, cost, (at as { value: string } | null)?.value, revision]),
      [
        ['a', 1.5, '2025-01-01T08:00:00.000000Z', 1],
        ['b', 2, '2025-01-02T00:00:00.000000Z', 1],
        ['c', null, undefined, 1],
      ],
    );
    const schema = (await call<{ schema: { unique?: boolean }[] }>('GET', 'classes/item/')).body.schema;
    assert.deepEqual(schema[0], { name: 'sku', type: 'string', filter_index: true, unique: true });
  });

  await t.test('upsert changes what has changed, makes what is new and leaves the rest', async () => {
    const before = await read('item');
    await load(source, '"sku","price","at"\n"b","20",""\n"d","4",""', true);
    const job = await run({ class: 'item', mode: 'upsert', key: 'sku', fields });
    assert.equal(job.status, 'success', JSON.stringify(job.result));
    const after = await read('item');
    assert.deepEqual(
      after.map(({ sku, cost, revision }) => [sku, cost, revision]),
      [
        ['a', 1.5, 1],
        ['b', 20, 2],
        ['c', null, 1],
        ['d', 4, 1],
      ],
    );
    assert.deepEqual(
      after.slice(0, 3).map(({ id }) => id),
      before.map(({ id }) => id),
    );
    const again = await run({ class: 'item', mode: 'upsert', key: 'sku', fields });
    assert.equal(again.status, 'success');
    assert.deepEqual(await read('item'), after, 'the second time there is nothing to change');
  });

  await t.test(
    'append adds, replace puts the rows in the place of all others, mapping chooses rows and columns',
    async () => {
      await call('POST', 'classes/', { name: 'log', schema: [{ name: 'sku', type: 'string' }] });
      for (const mode of ['append', 'append']) assert.equal((await run({ class: 'log', mode })).status, 'success');
      assert.equal((await read('log')).length, 8);
      const some = [{ source, destination: 'x', columns: ['sku'], where_column: 'sku', where_values: ['a', 'd'] }];
      assert.equal((await run({ class: 'log', mode: 'replace' }, some)).status, 'success');
      assert.deepEqual(
        (await read('log')).map(({ sku }) => sku),
        ['a', 'd'],
      );
    },
  );

  await t.test('a bad value fails the job with its row and column, and nothing of it is kept', async () => {
    await load(source, '"sku","price","at"\n"e","5",""\n"f","cheap",""', true);
    const before = await read('item');
    const job = await run({ class: 'item', mode: 'upsert', key: 'sku', fields });
    assert.equal(job.status, 'error');
    assert.match(job.result.message, /^Row \d, column "price": A valid number is required. The value is "cheap"\.$/);
    assert.deepEqual(await read('item'), before);
    const twice = await run({ class: 'item', mode: 'append' }, [{ source, destination: 'x', columns: ['sku'] }]);
    assert.match(twice.result.message, /^Row \d, column "sku": This field must be unique\. The value is ".*"\.$/);
  });

  await t.test('what is wrong with the configuration is said', async () => {
    const cases: [object, RegExp, object[]?][] = [
      [{}, /required properties class/],
      [{ class: 'none' }, /Set "create_class" to make it/],
      [{ class: 'item', mode: 'x' }, /mode/],
      [{ class: 'item', mode: 'upsert' }, /parameters\.key/],
      [{ class: 'item', mode: 'upsert', key: 'at' }, /is not unique/],
      [{ class: 'item', fields: [{ name: 'z', column: 'zz' }] }, /no column "zz"/],
      [{ class: 'user_profile' }, /no field for any column/],
      [{ class: 'item' }, /exactly one table/, []],
      [{ class: 'item' }, /The table "none" was not found/, [{ source: 'in.c-main.none', destination: 'x' }]],
    ];
    for (const [parameters, text, tables] of cases) {
      const job = await run(parameters, tables);
      assert.equal(job.status, 'error', JSON.stringify(parameters));
      assert.match(job.result.message, text, JSON.stringify(parameters));
    }
  });
});
