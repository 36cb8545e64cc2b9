import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

test('events are reported, found and refused', async (t) => {
  const { call } = await keboolaServer(t);
  const report = async (payload: object | string, headers: Record<string, string> = {}) =>
    call('POST', '/v2/storage/events', { payload, headers });
  const made = await report(
    { component: 'whatever', message: 'hello', params: '{"a":1}', duration: '1.5' },
    { 'x-kbc-runid': '12.34' },
  );
  assert.equal(made.status, 201, made.body);
  const { id, uuid } = made.json<{ id: string; uuid: string } & Record<string, never>>();
  for (const key of [id, uuid]) {
    const event = (await call('GET', `/v2/storage/events/${key}`)).json<
      Record<string, unknown> & Record<string, never>
    >();
    assert.equal(event.event, 'ext.whatever.');
    assert.equal(event.runId, '12.34');
    assert.deepEqual(event.params, { a: 1 });
    assert.deepEqual(event.results, {});
  }
  const found = async (query: string) => call('GET', `/v2/storage/events?${query}`);
  const hits = async (query: string) => (await found(query)).json<object[] & Record<string, never>>().length;
  assert.equal(await hits('runId=12'), 1);
  assert.equal(await hits('runId=1'), 0);
  assert.equal(await hits('component=whatever'), 1);
  assert.equal(await hits(`q=${encodeURIComponent('event:ext.whatever. AND component:whatever')}`), 1);
  assert.equal(await hits(`q=${encodeURIComponent('event:storage.nothing')}`), 0);
  await call('POST', '/v2/storage/buckets', { payload: { name: 'main' } });
  assert.equal(
    await hits(`q=${encodeURIComponent('event:storage.bucketCreated AND objectId:"in.c-main" AND token.id:1')}`),
    1,
  );
  const searches: [query: string, found: number][] = [
    ['event:storage.bucketCreated OR event:ext.whatever.', 2],
    ['(event:storage.bucketCreated OR event:ext.whatever.) AND NOT objectType:bucket', 1],
    ['objectType:bucket AND objectName:"main"', 1],
    ['objectType:bucket AND (objectName:x OR objectName:y)', 0],
    ['objectId:in.c\\-main AND idBranch:[1 TO *] AND token.id:1', 1],
    ['token.id:2 OR idBranch:99', 0],
    ['component:what* AND NOT runId:1', 1],
    ['"Bucket in.c-main created"', 1],
    ['event:ext.whatever.7 OR event:ext.other.', 0],
    ['event:storage.nothing OR configurationId:1', 0],
  ];
  for (const [query, count] of searches) assert.equal(await hits(`q=${encodeURIComponent(query)}`), count, query);
  assert.equal(await hits(`sinceId=${uuid}`), 1);
  for (const query of ['limit=10001', 'q=event:', 'q=(a', 'q=none:1', 'q=event:a*', 'q=token.id:x']) {
    const answer = await found(query);
    assert.equal(answer.status, 400, `${query}: ${answer.body}`);
    if (query.startsWith('q')) assert.match(answer.body, /Failed to parse query/);
  }
  assert.equal((await call('GET', '/v2/storage/events/nothing')).status, 404);
  assert.match((await report({ component: 'a', message: 'm', type: 'fatal' })).body, /"type"/);
  const large = await report({ component: 'a', message: 'x'.repeat(250_000) });
  assert.equal(large.status, 400);
  assert.match(large.body, /requestTooLarge/);
});
