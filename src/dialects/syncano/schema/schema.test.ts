import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syncanoServer } from '../../../../test/support/syncano.ts';

type Field = { read_only: boolean; required: boolean; type: string; primary_key?: true };
type Described = {
  path: string;
  methods: string[];
  properties: string[];
  fields: Record<string, Field>;
  parameters?: string[];
  query_fields?: string[];
};
type Resource = { name: string; endpoints: Record<string, Described> };

test('the schema tells of every path the router knows, and of nothing else', async (t) => {
  const { call } = await syncanoServer(t);
  const answer = await call<Resource[]>('GET', '/v1.1/schema/', undefined, {});
  assert.equal(answer.status, 200);
  const told = answer.body.flatMap(({ endpoints }) => Object.values(endpoints));
  const words = (path: string) => path.replace(/\{\w+\}|:\w+/g, '*').replace(/\/?$/, '/');
  const fromSchema = told.flatMap(({ path, methods }) => methods.map((method) => `${method} ${words(path)}`)).sort();
  const openapi = (await call<{ paths: Record<string, object> }>('GET', '/docs/syncano/openapi.json', undefined, {}))
    .body;
  const fromDocs = Object.entries(openapi.paths)
    .filter(([path]) => path !== '/v1.1/' && path !== '/v1.1/schema/')
    .flatMap(([path, operations]) => Object.keys(operations).map((method) => `${method} ${words(path)}`))
    .sort();
  assert.deepEqual(fromSchema, fromDocs);
  assert.ok(fromSchema.length > 40);
  for (const { path, methods, properties } of told) {
    assert.ok(methods.length > 0, path);
    assert.deepEqual(
      properties,
      [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
    );
  }
});

test('the schema has the form that the first clients read', async (t) => {
  const { call } = await syncanoServer(t);
  const resources = (await call<Resource[]>('GET', '/v1.1/schema/', undefined, {})).body;
  const named = (name: string) => resources.find((one) => one.name === name)?.endpoints ?? {};
  const { list, detail } = named('Class');
  assert.deepEqual([list?.path, list?.methods.sort()], ['/v1.1/instances/{instance_name}/classes/', ['get', 'post']]);
  assert.deepEqual(detail?.path, '/v1.1/instances/{instance_name}/classes/{name}/');
  assert.deepEqual(detail?.properties, ['instance_name', 'name']);
  assert.deepEqual(detail?.methods.sort(), ['delete', 'get', 'patch', 'put']);
  assert.deepEqual(detail?.fields.name, {
    read_only: true,
    max_length: 50,
    required: false,
    type: 'string',
    label: 'name',
    primary_key: true,
  });
  assert.ok(detail?.fields.expected_revision);
  const objects = named('Object').list;
  assert.ok(objects?.query_fields?.includes('id') && objects.parameters?.includes('order_by'));
  assert.equal(named('ApiKey').key?.path, '/v1.1/instances/{instance_name}/api_keys/{id}/reset_key/');
  assert.equal(named('Script').run?.path, '/v1.1/instances/{instance_name}/snippets/scripts/{id}/run/');
  assert.ok(named('ScheduleTrace').list && named('Group').list && named('GroupUser').detail && named('Account').self);
});

test('OPTIONS answers on every path, to those who may call it', async (t) => {
  const { call, instance } = await syncanoServer(t);
  const resources = (await call<Resource[]>('GET', '/v1.1/schema/', undefined, {})).body;
  await call('POST', 'classes/', { name: 'book', schema: [] });
  const { body: object } = await call<{ id: number }>('POST', 'classes/book/objects/', {});
  const { body: user } = await call<{ id: number }>('POST', 'users/', { username: 'u', password: 'p' });
  for (const { name, endpoints } of resources) {
    for (const [kind, { path }] of Object.entries(endpoints)) {
      if (kind === 'detail' && /Script|Schedule/.test(name)) continue;
      const filled = path
        .replace('{instance_name}', instance.split('/')[3] ?? '')
        .replace('/instances/{name}', instance.slice('/v1.1'.length, -1))
        .replace('{class_name}', 'book')
        .replace('{name}', 'book')
        .replace('{id}', String(name === 'Object' ? object.id : user.id))
        .replace(/\{\w+\}/g, '1');
      const { status, text, body } = await call<{ name: string; actions?: object }>('OPTIONS', filled);
      if (/Script|Schedule/.test(name)) continue;
      assert.equal(status, 200, `${filled} ${text}`);
      assert.equal(typeof body.name, 'string');
    }
  }
  const keys = await call<{ name: string; actions: { POST: object } }>('OPTIONS', 'api_keys/');
  assert.deepEqual([keys.body.name, Object.keys(keys.body.actions)], ['Api Key List', ['POST']]);
  assert.equal((await call('OPTIONS', 'api_keys/', undefined, {})).status, 403);
});
