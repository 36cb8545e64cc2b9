import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syncanoPlatform } from '../../../../test/support/syncano-platform.ts';

type Row = { id: number; [name: string]: unknown };
type Listing = { next: string | null; prev: string | null; objects: Row[]; objects_count?: number };

const ORDERS = [
  '"id","customer","total","paid","at"',
  '"1","Ann","10.5","true","2025-01-01 10:00:00"',
  '"2","Bob","","false","2025-01-02T10:00:00Z"',
  '"3","ann","x","","nonsense"',
  '"4","Cid","7","1","2025-01-04 10:00:00.5"',
  '"5","","1e2","0",""',
].join('\n');

const SCHEMA = [
  { name: 'c_id', type: 'integer', filter_index: true, order_index: true },
  { name: 'customer', type: 'string', filter_index: true, order_index: true },
  { name: 'total', type: 'float', filter_index: true, order_index: true },
  { name: 'paid', type: 'boolean', filter_index: true },
  { name: 'at', type: 'datetime', filter_index: true, order_index: true },
];

test('a class over a Storage table', async (t) => {
  const { call, storage, table, load, instance, credentials, platform } = await syncanoPlatform(t);
  const source = await table('orders', ORDERS, 'id');
  const made = await call<{ source_table: string; objects_count: number; schema: object[]; other_permissions: string }>(
    'POST',
    'classes/',
    { name: 'orders', source_table: source, schema: SCHEMA },
  );
  assert.equal(made.status, 201, made.text);
  const list = (query: string) => call<Listing>('GET', `classes/orders/objects/?${query}`);

  await t.test('names its table, and is closed to everybody unless opened', () => {
    const { source_table, objects_count, schema, other_permissions } = made.body;
    assert.deepEqual([source_table, objects_count, other_permissions], [source, 5, 'none']);
    assert.equal(schema.length, 5);
  });

  await t.test('shows rows as objects with typed values', async () => {
    const answer = await list('page_size=2');
    const [first, second] = answer.body.objects;
    const { created_at, updated_at, ...rest } = first as Row;
    assert.match(String(created_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    assert.equal(updated_at, created_at);
    assert.deepEqual(rest, {
      id: 1,
      revision: 1,
      owner: null,
      owner_permissions: 'full',
      group: null,
      group_permissions: 'none',
      other_permissions: 'read',
      channel: null,
      channel_room: null,
      c_id: 1,
      customer: 'Ann',
      total: 10.5,
      paid: true,
      at: { type: 'datetime', value: '2025-01-01T10:00:00.000000Z' },
      links: { self: `${instance}classes/orders/objects/1/` },
    });
    assert.deepEqual([second?.total, second?.paid], [null, false]);
    assert.deepEqual((await call('GET', 'classes/orders/objects/1/')).body, first);
    assert.equal((await call('GET', 'classes/orders/objects/99/')).status, 404);
    const some = await list('fields=customer&page_size=1');
    assert.deepEqual(some.body.objects, [{ customer: 'Ann' }]);
  });

  await t.test('answers the filters of stored classes, with the same rules for what is not there', async () => {
    const cases: [object, number[]][] = [
      [{ total: { _gt: 7 } }, [1, 5]],
      [{ total: { _eq: 7 } }, [4]],
      [{ total: { _neq: 7 } }, [1, 2, 3, 5]],
      [{ total: { _nin: [7, 100] } }, [1, 2, 3]],
      [{ total: { _exists: false } }, [2, 3]],
      [{ paid: { _eq: true } }, [1, 4]],
      [{ customer: { _ieq: 'ANN' } }, [1, 3]],
      [{ customer: { _startswith: 'A' } }, [1]],
      [{ customer: { _icontains: 'n' } }, [1, 3]],
      [{ customer: { _like: '_o%' } }, [2]],
      [{ customer: { _like: '%\\' } }, []],
      [{ customer: { _in: ['Bob', "x'; drop table y; --"] } }, [2]],
      [{ at: { _gte: '2025-01-02T10:00:00.000000Z' } }, [2, 4]],
      [{ at: { _exists: true }, total: { _lt: 10 } }, [4]],
      [{ id: { _gt: 2, _lte: 4 } }, [3, 4]],
      [{ c_id: { _in: [2, 5] } }, [2, 5]],
      [{ revision: { _eq: 1 }, owner: { _exists: false } }, [1, 2, 3, 4, 5]],
      [{ owner: { _eq: 1 } }, []],
      [{ created_at: { _gt: '2020-01-01T00:00:00.000000Z' } }, [1, 2, 3, 4, 5]],
    ];
    for (const [query, expected] of cases) {
      const text = JSON.stringify(query);
      const answer = await list(`query=${encodeURIComponent(text)}&include_count=1`);
      assert.equal(answer.status, 200, `${text} ${answer.text}`);
      const { objects, objects_count } = answer.body;
      assert.deepEqual([objects.map(({ id }) => id), objects_count], [expected, expected.length], text);
    }
    const wrong = await list(`query=${encodeURIComponent('{"none":{"_eq":1}}')}`);
    assert.deepEqual([wrong.status, wrong.body], [400, { query: 'Invalid field name defined: "none".' }]);
  });

  await t.test('walks to the end and back in every order, what has no value included', async () => {
    for (const query of [
      '',
      'ordering=desc',
      'order_by=total',
      'order_by=-total',
      'order_by=at',
      'order_by=-customer',
    ]) {
      const pages: number[][] = [];
      let last: Listing | undefined;
      for (let link: string | null = `classes/orders/objects/?page_size=2&${query}`; link !== null; ) {
        const { body, text }: { body: Listing; text: string } = await call<Listing>('GET', link);
        assert.ok(body.objects, text);
        if (body.objects.length > 0) {
          pages.push(body.objects.map(({ id }) => id));
          last = body;
        }
        link = body.next;
      }
      assert.deepEqual(pages.flat().sort(), [1, 2, 3, 4, 5], `${query} ${JSON.stringify(pages)}`);
      const back = [pages.at(-1)];
      for (let link = last?.prev ?? null; link !== null; ) {
        const { body }: { body: Listing } = await call<Listing>('GET', link);
        if (body.objects.length > 0) back.unshift(body.objects.map(({ id }) => id));
        link = body.prev;
      }
      assert.deepEqual(back, pages, query);
    }
  });

  await t.test('cannot be written', async () => {
    const text = `The objects of this class are the rows of table "${source}". They are changed there, not here.`;
    for (const [method, path] of [
      ['POST', 'classes/orders/objects/'],
      ['PATCH', 'classes/orders/objects/1/'],
      ['DELETE', 'classes/orders/objects/1/'],
    ] as const) {
      const answer = await call(method, path, method === 'DELETE' ? undefined : {});
      assert.deepEqual([answer.status, answer.body], [403, { detail: text }], method);
    }
  });

  await t.test('keeps the ids of rows that stay when the table changes under it', async () => {
    const before = (await list('page_size=100')).body.objects.map(({ id, c_id }) => [id, c_id]);
    await load(source, '"id","customer","total","paid","at"\n"2","Bob","20","1",""\n"6","Eve","1","0",""', true);
    const after = (await list('page_size=100')).body.objects.map(({ id, c_id }) => [id, c_id]);
    assert.deepEqual(
      after.filter(([, row]) => row !== 2 && row !== 6),
      before.filter(([, row]) => row !== 2),
    );
    assert.equal(new Set(after.map(([id]) => id)).size, 6);
    assert.equal((await list('page_size=0&include_count=1')).body.objects_count, 6);
  });

  await t.test('follows columns that come and go', async () => {
    await call('POST', 'classes/', { name: 'plain', source_table: source });
    const names = async () =>
      (await call<{ schema: { name: string }[] }>('GET', 'classes/plain/')).body.schema.map(({ name }) => name);
    assert.deepEqual(await names(), ['c_id', 'customer', 'total', 'paid', 'at']);
    const { tables, identity } = platform.core;
    const owner = await identity.authenticateStorageToken(credentials.keboola.storageToken);
    await tables.addColumn(owner, source, 'Group');
    await tables.dropColumn(owner, source, 'paid');
    assert.deepEqual(await names(), ['c_id', 'customer', 'total', 'at', 'c_Group']);
    const [row] = (await call<Listing>('GET', 'classes/plain/objects/?page_size=1&order_by=-c_Group')).body.objects;
    assert.deepEqual([row?.c_Group, 'paid' in (row ?? {})], ['', false]);
    const [declared] = (await list('page_size=1')).body.objects;
    assert.deepEqual(['paid' in (declared ?? {}), 'c_Group' in (declared ?? {})], [false, false]);
    assert.equal((await list(`query=${encodeURIComponent('{"paid":{"_eq":true}}')}`)).status, 400);
  });

  await t.test('shows rows to whom the class is open, and to nobody else', async () => {
    const user = await call<{ user_key: string }>('POST', 'users/', { username: 'u', password: 'p' });
    const key = await call<{ api_key: string }>('POST', 'api_keys/', { allow_anonymous_read: true });
    const alone = { 'x-api-key': key.body.api_key };
    const asUser = { ...alone, 'x-user-key': user.body.user_key };
    const status = async (headers: Record<string, string>) =>
      (await call('GET', 'classes/orders/objects/', undefined, headers)).status;
    assert.deepEqual([await status(alone), await status(asUser)], [403, 403]);
    await call('PATCH', 'classes/orders/', { other_permissions: 'create_objects' });
    assert.deepEqual([await status(alone), await status(asUser)], [200, 200]);
    assert.equal((await call('POST', 'classes/orders/objects/', {}, asUser)).status, 403);
    assert.equal((await call('POST', 'classes/', { name: 'mine', source_table: source }, asUser)).status, 403);
  });

  await t.test('is refused over what is not a table of the project, and with types no column can have', async () => {
    const cases: [object, string][] = [
      [{ source_table: 'in.c-main.none' }, 'source_table'],
      [{ source_table: 'in.c-other.orders' }, 'source_table'],
      [{ source_table: 'x' }, 'source_table'],
      [{ source_table: 5 }, 'source_table'],
      [{ source_table: source, schema: [{ name: 'total', type: 'array' }] }, 'schema'],
      [{ source_table: source, schema: [{ name: 'nothing', type: 'string' }] }, 'schema'],
      [{ source_table: source, schema: [{ name: 'total', type: 'float', unique: true }] }, 'schema'],
    ];
    for (const [body, member] of cases) {
      const answer = await call<object>('POST', 'classes/', { name: 'wrong', ...body });
      assert.deepEqual([answer.status, Object.keys(answer.body)], [400, [member]], answer.text);
    }
  });

  await t.test('says what is missing once the table is dropped, and can be deleted', async () => {
    assert.ok((await storage('DELETE', `/v2/storage/tables/${source}?force=1`)).status < 300);
    const gone = await list('');
    assert.deepEqual(
      [gone.status, gone.body],
      [404, { detail: `Table "${source}", whose rows are the objects of this class, does not exist any more.` }],
    );
    assert.equal((await call('GET', 'classes/orders/')).status, 200);
    assert.equal((await call('DELETE', 'classes/orders/')).status, 204);
    assert.equal((await call('DELETE', 'classes/orders/')).status, 404);
  });
});
