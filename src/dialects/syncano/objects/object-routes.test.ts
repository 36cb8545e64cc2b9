import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SyncanoAnswer, type SyncanoServer, syncanoServer } from '../../../../test/support/syncano.ts';
import { sql } from '../../../db/sql.ts';

type Listing = { next: string | null; prev: string | null; objects: { id: number }[]; objects_count?: number };

async function bookClass({ call }: SyncanoServer, schema?: object[]) {
  const answer = await call('POST', 'classes/', {
    name: 'Book',
    schema: schema ?? [
      { name: 'title', type: 'string', filter_index: true, order_index: true },
      { name: 'pages', type: 'integer', filter_index: true, order_index: true },
      { name: 'tags', type: 'array', filter_index: true },
      { name: 'author', type: 'reference', target: 'user', filter_index: true },
      { name: 'similar', type: 'relation', target: 'self', filter_index: true },
      { name: 'at', type: 'geopoint', filter_index: true },
      { name: 'seen', type: 'datetime', filter_index: true, order_index: true },
      { name: 'good', type: 'boolean', filter_index: true },
      { name: 'price', type: 'float', filter_index: true },
      { name: 'more', type: 'object' },
    ],
  });
  assert.equal(answer.status, 201, answer.text);
}

const OBJECTS = 'classes/book/objects/';

test('a data object is made, read, changed with operators, fully updated and deleted', async (t) => {
  const server = await syncanoServer(t);
  const { call, instance } = server;
  await bookClass(server);
  const made = await call<Record<string, unknown>>('POST', OBJECTS, {
    title: ' Emma “ž” ',
    pages: '474',
    tags: ['a', 1],
    at: { longitude: 21, latitude: 52.2 },
    seen: '2025-01-02T03:04:05.000000Z',
    good: 'true',
    price: 1.5,
    more: { z: 1, 1: 'x' },
    unknown: 1,
  });
  assert.equal(made.status, 201, made.text);
  const { id, created_at, updated_at, ...rest } = made.body;
  assert.match(String(created_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.equal(updated_at, created_at);
  assert.deepEqual(rest, {
    revision: 1,
    owner: null,
    owner_permissions: 'full',
    group: null,
    group_permissions: 'none',
    other_permissions: 'none',
    channel: null,
    channel_room: null,
    title: ' Emma “ž” ',
    pages: 474,
    tags: ['a', 1],
    author: null,
    similar: null,
    at: { type: 'geopoint', longitude: 21, latitude: 52.2 },
    seen: { type: 'datetime', value: '2025-01-02T03:04:05.000000Z' },
    good: true,
    price: 1.5,
    more: { z: 1, 1: 'x' },
    links: { self: `${instance}${OBJECTS}${id}/` },
  });
  assert.deepEqual((await call('GET', `${OBJECTS}${id}/`)).body, made.body);
  const changed = await call<Record<string, unknown>>('PATCH', `${OBJECTS}${id}/`, {
    pages: { _increment: 6 },
    tags: '{"_add":["b"]}',
    similar: [id, 999],
    expected_revision: 1,
  });
  assert.equal(changed.status, 200, changed.text);
  assert.equal(changed.body.revision, 2);
  assert.equal(changed.body.pages, 480);
  assert.deepEqual(changed.body.tags, ['a', 1, 'b']);
  assert.deepEqual(changed.body.similar, { type: 'relation', target: 'book', value: [id] });
  const same = await call<{ revision: number }>('PATCH', `${OBJECTS}${id}/`, { pages: 480 });
  assert.equal(same.body.revision, 2, 'a change that changes nothing makes no revision');
  const wrong = await call('PATCH', `${OBJECTS}${id}/`, { pages: 1, expected_revision: 1 });
  assert.equal(wrong.status, 400);
  assert.deepEqual(wrong.body, { expected_revision: 'Revision mismatch. Expected 1, got 2.' });
  assert.equal((await call('PUT', `${OBJECTS}${id}/`, {})).status, 405);
  const whole = await call<Record<string, unknown>>('POST', `${OBJECTS}${id}/`, { title: 'E' });
  assert.deepEqual([whole.status, whole.body.title, whole.body.pages], [200, 'E', 480]);
  assert.equal((await call('DELETE', `${OBJECTS}${id}/`)).status, 204);
  assert.deepEqual((await call('GET', `${OBJECTS}${id}/`)).body, { detail: 'Not found.' });
});

test('many creates and changes at the same time are all kept, each once', async (t) => {
  const server = await syncanoServer(t);
  const { call } = server;
  await bookClass(server);
  const made = await Promise.all(
    Array.from({ length: 60 }, (_, pages) => call<{ id: number; pages: number }>('POST', OBJECTS, { pages })),
  );
  assert.ok(made.every(({ status, body }, at) => status === 201 && body.pages === at));
  assert.equal(new Set(made.map(({ body }) => body.id)).size, 60);
  const id = made[0]?.body.id;
  const changes = await Promise.all(
    Array.from({ length: 30 }, () => call('PATCH', `${OBJECTS}${id}/`, { pages: { _increment: 1 } })),
  );
  assert.ok(changes.every(({ status }) => status === 200));
  const read = await call<{ pages: number; revision: number }>('GET', `${OBJECTS}${id}/`);
  assert.deepEqual([read.body.pages, read.body.revision], [30, 31]);
});

test('a refused value among many creates refuses only its own', async (t) => {
  const server = await syncanoServer(t);
  const { call } = server;
  await bookClass(server, [{ name: 'code', type: 'string', unique: true }]);
  const answers = await Promise.all(['a', 'b', 'a', 'c'].map((code) => call('POST', OBJECTS, { code })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 201, 201, 400]);
  const refused = answers.find(({ status }) => status === 400);
  assert.deepEqual(refused?.body, { code: ['This field must be unique.'] });
});

test('wrong values are refused, all of them at once and by field', async (t) => {
  const server = await syncanoServer(t);
  const { call } = server;
  await bookClass(server);
  const answer = await call('POST', OBJECTS, {
    title: 'x'.repeat(129),
    pages: 1.5,
    tags: [[]],
    seen: '0000-01-01T00:00:00.000000Z',
    good: [],
    price: 'NaN',
    at: { longitude: 181, latitude: 0 },
    more: [],
    author: 'x',
  });
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.body, {
    title: ['Ensure this field has no more than 128 characters.'],
    pages: ['A valid integer is required.'],
    tags: ['Array can only contain strings, booleans, integers and floats.'],
    seen: ['Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm:ss.uuuuuuZ.'],
    good: ['Not a valid boolean.'],
    price: ['A valid number is required.'],
    at: ['Not a valid geopoint.'],
    more: ['Not a valid object.'],
    author: ['Incorrect type. Expected pk value, received str.'],
  });
  const reference = await call('POST', OBJECTS, { author: 5 });
  assert.deepEqual(reference.body, { author: ['Target with specified id does not exist.'] });
  assert.equal((await call('POST', OBJECTS, { more: { a: '\0' } })).status, 400);
  assert.equal((await call('POST', OBJECTS, { title: 'a\0' })).status, 400);
  assert.equal((await call('POST', OBJECTS, { title: '\ud800' })).status, 201);
  assert.equal((await call('POST', OBJECTS, '{"title":')).status, 400);
  assert.deepEqual((await call('GET', 'classes/none/objects/')).body, { detail: 'Class was not found.' });
});

test('walking forward to the end and back shows the same pages, in every order, nulls and duplicates included', async (t) => {
  const server = await syncanoServer(t);
  const { call } = server;
  await bookClass(server);
  const titles = ['b', 'a', null, 'b', '', 'c', null, 'a', 'B', 'z'];
  for (const [pages, title] of titles.entries()) await call('POST', OBJECTS, { title, pages: pages % 3 || null });
  for (const query of [
    '',
    'ordering=desc',
    'order_by=title',
    'order_by=-title',
    'order_by=pages',
    'order_by=-pages',
    'order_by=-created_at',
    'order_by=-id',
  ]) {
    const pages: number[][] = [];
    let link: string | null = `${OBJECTS}?page_size=3&${query}`;
    let last: Listing | undefined;
    while (link !== null) {
      const answer: SyncanoAnswer<Listing> = await call<Listing>('GET', link);
      assert.equal(answer.status, 200, answer.text);
      if (answer.body.objects.length > 0) {
        pages.push(answer.body.objects.map(({ id }) => id));
        last = answer.body;
      }
      link = answer.body.next;
    }
    assert.equal(new Set(pages.flat()).size, 10, `${query}: ${JSON.stringify(pages)}`);
    assert.equal(pages.flat().length, 10, query);
    const back: number[][] = [pages.at(-1) ?? []];
    let prev = last?.prev ?? null;
    while (prev !== null) {
      const answer: Listing = (await call<Listing>('GET', prev)).body;
      if (answer.objects.length > 0) back.unshift(answer.objects.map(({ id }) => id));
      prev = answer.prev;
    }
    assert.deepEqual(back, pages, query);
  }
  const none = await call('GET', `${OBJECTS}?page_size=0&include_count=1`);
  assert.equal(none.text, '{"next":null,"prev":null,"objects":[],"objects_count":10}');
  const first = await call<Listing>('GET', `${OBJECTS}?page_size=2`);
  assert.match(first.body.next ?? '', /\?page_size=2&direction=1&last_pk=\d+$/);
  assert.equal(first.body.prev, null);
  const beyond = await call<Listing>('GET', `${OBJECTS}?direction=0&last_pk=${first.body.objects[0]?.id}`);
  assert.deepEqual([beyond.body.objects, beyond.body.prev], [[], null]);
  assert.ok(beyond.body.next?.endsWith(OBJECTS));
});

test('wrong paging and ordering is refused', async (t) => {
  const server = await syncanoServer(t);
  await bookClass(server);
  const page = { detail: 'Incorrect page parameter provided.' };
  const cases: [string, object][] = [
    ['page_size=-1', page],
    ['page_size=x', page],
    ['direction=2', page],
    ['last_pk=abc', page],
    ['order_by=pages&last_pk=1&last_value=abc', page],
    ['order_by=seen&last_pk=1&last_value=abc', page],
    ['order_by=price', { detail: 'Cannot use specified order_by field. Set required index on schema first.' }],
    ['order_by=none', { detail: 'Cannot use specified order_by field.' }],
    ['order_by=a;b', { detail: 'Incorrect order_by parameter provided.' }],
  ];
  for (const [query, body] of cases) {
    const answer = await server.call('GET', `${OBJECTS}?${query}`);
    assert.deepEqual([answer.status, answer.body], [400, body], query);
  }
});

test('every lookup finds what it should, nulls included', async (t) => {
  const server = await syncanoServer(t);
  const { call } = server;
  await bookClass(server);
  const user = await call<{ id: number }>('POST', 'users/', { username: 'Jane', password: 'p' });
  const rows = [
    {
      title: 'Emma',
      pages: 10,
      tags: ['a', 'b'],
      good: true,
      price: 1.5,
      seen: '2025-01-01T00:00:00.000000Z',
      author: user.body.id,
    },
    { title: 'emma 50%', pages: 20, tags: ['b'], good: false, price: 2, seen: '2025-01-02T00:00:00.000000Z' },
    { title: 'Persuasion', pages: 30, at: { longitude: 21.0122, latitude: 52.2297 } },
    {},
  ];
  const ids: number[] = [];
  for (const row of rows) ids.push((await call<{ id: number }>('POST', OBJECTS, row)).body.id);
  await call('PATCH', `${OBJECTS}${ids[3]}/`, { similar: [ids[0], ids[1]] });
  const cases: [object, number[]][] = [
    [{ pages: { _gt: 10 } }, [1, 2]],
    [{ pages: { _gte: 10, _lt: 30 } }, [0, 1]],
    [{ pages: { _lte: 10 } }, [0]],
    [{ pages: { _eq: 20 } }, [1]],
    [{ pages: { _neq: 20 } }, [0, 2, 3]],
    [{ pages: { _in: [10, 30] } }, [0, 2]],
    [{ pages: { _nin: [10, 30] } }, [1, 3]],
    [{ pages: { _exists: false } }, [3]],
    [{ pages: { _exists: true } }, [0, 1, 2]],
    [{ title: { _eq: 'Emma' } }, [0]],
    [{ title: { _ieq: 'emma' } }, [0]],
    [{ title: { _startswith: 'E' } }, [0]],
    [{ title: { _istartswith: 'E' } }, [0, 1]],
    [{ title: { _contains: '50%' } }, [1]],
    [{ title: { _icontains: 'MMA' } }, [0, 1]],
    [{ title: { _endswith: 'sion' } }, [2]],
    [{ title: { _iendswith: 'SION' } }, [2]],
    [{ title: { _like: 'E%a' } }, [0]],
    [{ title: { _ilike: 'e__a%' } }, [0, 1]],
    [{ title: { _like: 'E\\' } }, []],
    [{ good: { _eq: true } }, [0]],
    [{ good: { _neq: true } }, [1, 2, 3]],
    [{ price: { _gt: 1.5 } }, [1]],
    [{ seen: { _gt: '2025-01-01T00:00:00.000000Z' } }, [1]],
    [{ seen: { _eq: { type: 'datetime', value: '2025-01-01T00:00:00.000000Z' } } }, [0]],
    [{ tags: { _contains: ['b'] } }, [0, 1]],
    [{ tags: { _contains: ['a', 'b'] } }, [0]],
    [{ author: { _eq: user.body.id } }, [0]],
    [{ author: { _exists: false } }, [1, 2, 3]],
    [{ similar: { _contains: [ids[0]] } }, [3]],
    [{ at: { _near: { longitude: 21.2611, latitude: 52.1053, distance_in_kilometers: 22 } } }, [2]],
    [{ at: { _near: { longitude: 21.2611, latitude: 52.1053, distance_in_kilometers: 21 } } }, []],
    [{ at: { _exists: true } }, [2]],
    [{ id: { _lt: ids[2] }, created_at: { _gt: '2020-01-01T00:00:00.000000Z' } }, [0, 1]],
    [{ revision: { _eq: 2 } }, [3]],
  ];
  for (const [query, expected] of cases) {
    const text = JSON.stringify(query);
    const answer = await call<Listing>('GET', `${OBJECTS}?query=${encodeURIComponent(text)}&include_count=true`);
    assert.equal(answer.status, 200, `${text} ${answer.text}`);
    assert.deepEqual(
      answer.body.objects.map(({ id }) => ids.indexOf(id)),
      expected,
      text,
    );
    assert.equal(answer.body.objects_count, expected.length, text);
  }
  const some = await call<Listing>('GET', `${OBJECTS}?fields=id,title&page_size=1`);
  assert.deepEqual(some.body.objects, [{ id: ids[0], title: 'Emma' }]);
});

test('a wrong query is refused under its name', async (t) => {
  const server = await syncanoServer(t);
  await bookClass(server);
  const cases: [string, string][] = [
    ['{', 'Not a valid JSON string.'],
    ['[]', 'Query passed in invalid format.'],
    ['{"none":{"_eq":1}}', 'Invalid field name defined: "none".'],
    ['{"more":{"_eq":1}}', 'Field "more" cannot be used in a query as it is not indexed.'],
    ['{"pages":1}', 'Invalid field "pages" lookup type. Expected JSON object.'],
    ['{"pages":{"_near":1}}', 'Invalid lookup "_near" defined for field "pages".'],
    ['{"pages":{"eq":1}}', 'Invalid lookup "eq" defined for field "pages".'],
    ['{"pages":{"_gt":null}}', 'Invalid value type provided for "gt" lookup of field "pages".'],
    ['{"pages":{"_exists":1}}', 'Invalid value type provided for "exists" lookup of field "pages".'],
    [
      '{"pages":{"_gt":"x"}}',
      'Validation of value provided for "gt" lookup of field "pages" failed: A valid integer is required.',
    ],
    [
      JSON.stringify({ pages: { _in: Array(129).fill(1) } }),
      'Too many values provided for "in" lookup of field "pages". Max 128.',
    ],
  ];
  for (const [query, text] of cases) {
    const answer = await server.call('GET', `${OBJECTS}?query=${encodeURIComponent(query)}`);
    assert.deepEqual([answer.status, answer.body], [400, { query: text }], query);
  }
});

test('a filter on references asks about what they lead to, as far as the caller sees it', async (t) => {
  const server = await syncanoServer(t);
  const { call } = server;
  await bookClass(server);
  await call('PATCH', 'classes/user_profile/', { schema: [{ name: 'city', type: 'string', filter_index: true }] });
  const jane = await call<{ id: number; user_key: string }>('POST', 'users/', {
    username: 'Jane',
    password: 'p',
    profile: { city: 'Bath' },
  });
  const ids: number[] = [];
  for (const row of [{ title: 'Emma', pages: 1, author: jane.body.id }, { title: 'Persuasion', pages: 2 }, {}])
    ids.push((await call<{ id: number }>('POST', OBJECTS, row)).body.id);
  await call('PATCH', `${OBJECTS}${ids[2]}/`, { similar: [ids[0], ids[1]] });
  const cases: [object, number[]][] = [
    [{ author: { _is: { username: { _eq: 'jane' } } } }, [0]],
    [{ author: { _is: { username: { _startswith: 'x' } } } }, []],
    [{ author: { _is: { city: { _eq: 'Bath' }, id: { _eq: jane.body.id } } } }, [0]],
    [{ similar: { _is: { title: { _eq: 'Emma' } } } }, [2]],
    [{ similar: { _is: { pages: { _gt: 5 } } } }, []],
    [{ similar: { _is: { title: { _in: ['Emma'] } } }, author: { _exists: false } }, [2]],
  ];
  const list = (query: object, headers?: Record<string, string>) =>
    call<Listing>(
      'GET',
      `${OBJECTS}?include_count=1&query=${encodeURIComponent(JSON.stringify(query))}`,
      undefined,
      headers,
    );
  for (const [query, expected] of cases) {
    const { text, body } = await list(query);
    assert.deepEqual(
      body.objects?.map(({ id }) => ids.indexOf(id)),
      expected,
      `${JSON.stringify(query)} ${text}`,
    );
    assert.equal(body.objects_count, expected.length);
  }
  const wrong: [object, string][] = [
    [
      { similar: { _is: { author: { _is: { username: { _eq: 'jane' } } } } } },
      'Double nested queries are not allowed.',
    ],
    [{ similar: { _is: 1 } }, 'Invalid value type provided for "is" lookup of field "similar".'],
    [{ title: { _is: {} } }, 'Invalid lookup "_is" defined for field "title".'],
    [{ author: { _is: { title: { _eq: 'x' } } } }, 'Invalid field name defined: "title".'],
  ];
  for (const [query, text] of wrong) assert.deepEqual((await list(query)).body, { query: text });
  // Objects that nobody else sees must not be found out by what leads to them.
  const key = { 'x-api-key': await server.server.issueApiKey({}), 'x-user-key': jane.body.user_key };
  await call('PATCH', `${OBJECTS}${ids[2]}/`, { other_permissions: 'read' });
  assert.deepEqual((await list({}, key)).body.objects.length, 1);
  assert.deepEqual((await list({ similar: { _is: { title: { _eq: 'Emma' } } } }, key)).body.objects, []);
  assert.equal((await list({ author: { _is: { username: { _eq: 'jane' } } } }, key)).status, 200);
});

test('a listing that takes too long is ended', async (t) => {
  const { call, server } = await syncanoServer(t);
  await call('POST', 'classes/', { name: 'book', schema: [{ name: 'title', type: 'string', filter_index: true }] });
  await call('POST', OBJECTS, { title: 'x' });
  const { id } = await server.core.classes.get(server.actor, 'book');
  await server.db.transaction(async (tx) => {
    await tx.query(sql`lock table ${sql.name('objects', `c${id}`)} in access exclusive mode`);
    const slow = await call('GET', `${OBJECTS}?query=${encodeURIComponent('{"title":{"_contains":"y"}}')}`);
    assert.deepEqual(
      [slow.status, slow.body],
      [408, { detail: 'Requested query took too long. Timeout was reached.' }],
    );
  });
  assert.equal((await call<Listing>('GET', `${OBJECTS}?order_by=-id`)).body.objects.length, 1);
});

test('NUL characters are refused wherever they come', async (t) => {
  const { call } = await syncanoServer(t);
  for (const path of [
    'classes/%00/',
    'classes/%00/objects/',
    'classes/?last_pk=%00',
    'classes/?name__startswith=%00',
  ]) {
    const { status } = await call('GET', path);
    assert.ok(status === 404 || status === 400, `${path} ${status}`);
  }
  assert.equal((await call('POST', 'user/auth/', { username: '\0', password: 'x' })).status, 401);
});
