import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syncanoServer } from '../../../../test/support/syncano.ts';

type ClassBody = {
  name: string;
  schema: object[];
  revision: number;
  objects_count: number;
  links: Record<string, string>;
};

test('a class is made, listed, changed and deleted', async (t) => {
  const { call, instance } = await syncanoServer(t);
  const schema = [
    { name: 'title', type: 'string', order_index: true, filter_index: true },
    { name: 'texT', type: 'Text', order_index: false },
    { name: 'author', type: 'reference', target: 'user' },
  ];
  const made = await call<ClassBody & { created_at: string }>('POST', 'classes/', {
    name: 'Book',
    schema: JSON.stringify(schema),
    metadata: { color: 'red' },
  });
  assert.equal(made.status, 201, made.text);
  const { created_at, ...rest } = made.body;
  assert.deepEqual(rest, {
    name: 'book',
    description: '',
    schema: [
      { name: 'title', type: 'string', order_index: true, filter_index: true },
      { name: 'texT', type: 'text' },
      { name: 'author', type: 'reference', target: 'user' },
    ],
    status: 'ready',
    updated_at: created_at,
    objects_count: 0,
    revision: 1,
    group: null,
    group_permissions: 'create_objects',
    other_permissions: 'create_objects',
    metadata: { color: 'red' },
    links: { self: `${instance}classes/book/`, objects: `${instance}classes/book/objects/` },
  });
  assert.deepEqual((await call('GET', 'classes/BOOK/')).body, made.body);
  assert.deepEqual((await call('POST', 'classes/', { name: 'book', schema: [] })).body, {
    name: ['This field must be unique.'],
  });
  await call('POST', 'classes/', { name: 'author', schema: [] });
  const first = await call<{ next: string; objects: ClassBody[] }>('GET', 'classes/?page_size=1');
  assert.deepEqual(
    first.body.objects.map(({ name }) => name),
    ['author'],
  );
  const second = await call<{ objects: ClassBody[] }>('GET', first.body.next);
  assert.deepEqual(
    second.body.objects.map(({ name }) => name),
    ['book'],
  );
  const changed = await call<ClassBody>('PATCH', 'classes/book/', { description: 'd', expected_revision: 1 });
  assert.equal(changed.body.revision, 1, 'only changes of the schema count');
  assert.equal((await call('DELETE', 'classes/book/')).status, 204);
  assert.equal((await call('GET', 'classes/book/')).status, 404);
  assert.deepEqual((await call('DELETE', 'classes/user_profile/')).status, 403);
});

test('a changed schema keeps what stays, forgets what went and leaves the rest empty', async (t) => {
  const { call } = await syncanoServer(t);
  const a = { name: 'a', type: 'integer', filter_index: true, order_index: true };
  const b = { name: 'b', type: 'string', filter_index: true };
  await call('POST', 'classes/', { name: 'thing', schema: [a, b] });
  const { body } = await call<{ id: number }>('POST', 'classes/thing/objects/', { a: 1, b: 'x' });
  const read = async () => {
    const answer = await call<Record<string, unknown>>('GET', `classes/thing/objects/${body.id}/`);
    const { a, b, c } = answer.body;
    return { a, b, c };
  };
  const changed = await call<ClassBody>('PATCH', 'classes/thing/', {
    schema: [{ name: 'c', type: 'float', order_index: true }, a, { ...b, type: 'integer' }],
  });
  assert.deepEqual([changed.status, changed.body.revision], [200, 2], changed.text);
  assert.deepEqual(await read(), { a: 1, b: null, c: null });
  const queried = await call<{ objects: object[] }>('GET', 'classes/thing/objects/?query={"a":{"_eq":1}}&order_by=c');
  assert.equal(queried.body.objects.length, 1, queried.text);
  await call('PATCH', 'classes/thing/', { schema: [a] });
  await call('PATCH', 'classes/thing/', { schema: [a, b] });
  assert.deepEqual(await read(), { a: 1, b: null, c: undefined });
  assert.equal((await call('PATCH', `classes/thing/objects/${body.id}/`, { b: 'y' })).status, 200);
  assert.deepEqual(await read(), { a: 1, b: 'y', c: undefined });
  const wrong = await call('PATCH', 'classes/thing/', { schema: [], expected_revision: 1 });
  assert.deepEqual(wrong.body, { expected_revision: 'Revision mismatch. Expected 1, got 4.' });
});

test('objects written while the schema changes are written by the old schema or the new, never lost', async (t) => {
  const { call } = await syncanoServer(t);
  const a = { name: 'a', type: 'integer', filter_index: true };
  await call('POST', 'classes/', { name: 'thing', schema: [a] });
  const writes = Array.from({ length: 40 }, (_, i) => call('POST', 'classes/thing/objects/', { a: i, b: i }));
  const changes = [1, 2, 3].map((n) =>
    call('PATCH', 'classes/thing/', {
      schema: [a, { name: 'b', type: n === 2 ? 'string' : 'integer', filter_index: true }],
    }),
  );
  const more = Array.from({ length: 40 }, (_, i) => call('POST', 'classes/thing/objects/', { a: i, b: i }));
  for (const answer of await Promise.all([...writes, ...changes, ...more])) assert.ok(answer.status < 300, answer.text);
  const count = await call<{ objects_count: number }>('GET', 'classes/thing/objects/?page_size=0&include_count=1');
  assert.equal(count.body.objects_count, 80);
});

test('wrong schemas are refused', async (t) => {
  const { call } = await syncanoServer(t);
  const processing = (name: string, text: string) => `Error processing field definition "${name}" #0: ${text}`;
  const cases: [unknown, string][] = [
    ['x', 'Schema passed in invalid format.'],
    [[{ name: 'a' }], processing('a', 'Field name and type is required.')],
    [[{ name: '1', type: 'string' }], processing('1', 'Wrong characters used in field name "1".')],
    [[{ name: 'id', type: 'string' }], processing('id', 'Field name "id" is reserved.')],
    [
      [{ name: 'a', type: 'text', filter_index: true }],
      processing('a', 'Filter index cannot be set on field type text.'),
    ],
    [[{ name: 'a', type: 'reference' }], processing('a', 'Invalid value of target. Expected non-empty string.')],
    [[{ name: 'a', type: 'reference', target: 'none' }], 'Class specified by target is missing.'],
    [
      [
        { name: 'a', type: 'string' },
        { name: 'A', type: 'text' },
      ],
      'Field "a" defined more than once.',
    ],
    [Array.from({ length: 33 }, (_, i) => ({ name: `a${i}`, type: 'text' })), 'Too many fields defined (exceeds 32).'],
    [
      Array.from({ length: 17 }, (_, i) => ({ name: `a${i}`, type: 'string', filter_index: true })),
      'Too many indexes defined (exceeds 16).',
    ],
  ];
  for (const [schema, text] of cases) {
    const answer = await call('POST', 'classes/', { name: 'c', schema });
    assert.deepEqual([answer.status, answer.body], [400, { schema: [text] }]);
  }
  assert.deepEqual((await call('POST', 'classes/', {})).body, {
    name: ['This field is required.'],
    schema: ['This field is required.'],
  });
});

test('OPTIONS on the class list answers as the published example does', async (t) => {
  const { call } = await syncanoServer(t);
  const answer = await call('OPTIONS', 'classes/');
  assert.equal(answer.status, 200);
  const named = (name: string) => ({ display_name: name, value: name });
  const rights = {
    read_only: false,
    required: true,
    type: 'choice',
    choices: [named('none'), named('read'), named('create_objects')],
  };
  const post = {
    status: { read_only: true, required: false, type: 'field' },
    group: { read_only: false, required: false, type: 'field', label: 'group' },
    name: { read_only: false, max_length: 50, required: true, type: 'string', label: 'name' },
    links: {
      read_only: true,
      required: false,
      type: 'links',
      links: [
        { type: 'detail', name: 'self' },
        { type: 'list', name: 'objects' },
        { type: 'detail', name: 'group' },
      ],
    },
    group_permissions: rights,
    created_at: { read_only: true, required: false, type: 'datetime', label: 'created at' },
    description: { read_only: false, required: false, type: 'string', label: 'description' },
    updated_at: { read_only: true, required: false, type: 'datetime', label: 'updated at' },
    objects_count: { read_only: true, required: false, type: 'field' },
    metadata: { read_only: false, required: false, type: 'field', label: 'metadata' },
    revision: { read_only: true, required: true, type: 'integer', label: 'revision' },
    other_permissions: rights,
    schema: { read_only: false, required: true, type: 'field', label: 'schema' },
  };
  const expected = {
    parses: ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'],
    renders: ['application/json', 'text/html'],
    name: 'Class List',
    actions: { POST: post },
    description: '',
  };
  // The very text, order included, but for white space.
  assert.equal(answer.text, JSON.stringify(expected));
  assert.equal((await call('OPTIONS', 'classes/', undefined, {})).status, 403);
  const preflight = await call('OPTIONS', 'classes/', undefined, {
    origin: 'https://app.example',
    'access-control-request-method': 'POST',
  });
  assert.deepEqual([preflight.status, preflight.headers['access-control-allow-origin']], [200, '*']);
});
