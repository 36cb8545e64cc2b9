import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Page, scriptServer, type Trace } from '../../../../test/support/scripts.ts';

type Endpoint = { name: string; public_link: string; links: Record<string, string> };

test('an endpoint answers what its script answers, with a key or, when it is public, without', async (t) => {
  const { url, base, call, create, credentials } = await scriptServer(t);
  const script = await create(
    'setResponse(new HttpResponse(201, JSON.stringify([ARGS.a, ARGS.b, ARGS.GET.a, META.executed_by, META.executor, META.request.REQUEST_METHOD, "HTTP_X_API_KEY" in META.request]), "text/x-told", {"X-Told": "yes", "Content-Length": 3, "bad name": 1}))',
  );
  const made = await call<Endpoint>('POST', 'endpoints/scripts/', { name: 'hello', script, public: true });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const self = `${base}endpoints/scripts/hello/`;
  const { public_link: link, ...rest } = made.body;
  assert.match(link, /^[0-9a-f]{40}$/);
  assert.deepEqual(rest, {
    name: 'hello',
    description: '',
    script,
    public: true,
    links: {
      self,
      run: `${self}run/`,
      'reset-link': `${self}reset_link/`,
      script: `${base}snippets/scripts/${script}/`,
      'public-link': `${base}endpoints/scripts/p/${link}/hello/`,
      traces: `${self}traces/`,
    },
  });
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"b":2}' };
  const open = await fetch(`${url}${made.body.links['public-link']}?a=1`, post);
  assert.deepEqual(
    [open.status, open.headers.get('content-type'), open.headers.get('x-told'), await open.text()],
    [201, 'text/x-told', 'yes', '["1",2,"1","webhook","hello","POST",false]'],
  );
  for (const key of [credentials.syncano.apiKey, credentials.syncano.accountKey]) {
    const keyed = await fetch(`${url}${self}run/?a=5`, { headers: { 'x-api-key': key } });
    assert.deepEqual([keyed.status, (await keyed.text()).slice(0, 4)], [201, '["5"']);
  }
  assert.equal((await fetch(`${url}${self}run/`)).status, 403);
  const traces = await call<Page<Trace>>('GET', `${self}traces/`);
  assert.equal(traces.body.objects.length, 3);
  // They are the endpoint's, not those that somebody ran by hand.
  assert.deepEqual((await call<Page<Trace>>('GET', `snippets/scripts/${script}/traces/`)).body.objects, []);

  const reset = await call<Endpoint>('POST', `${self}reset_link/`, {});
  const before = await fetch(`${url}${made.body.links['public-link']}`);
  assert.deepEqual([before.status, await before.json()], [404, { detail: 'Script Endpoint was not found.' }]);
  assert.equal((await fetch(`${url}${reset.body.links['public-link']}`)).status, 201);
  await call('PATCH', self, { public: false });
  assert.equal((await fetch(`${url}${reset.body.links['public-link']}`)).status, 404);
  assert.equal((await fetch(`${url}/v1.1/instances/nobody/endpoints/scripts/p/${link}/hello/`)).status, 404);
});

test('without an answer of its own an endpoint tells how the run went', async (t) => {
  const { call, create } = await scriptServer(t);
  for (const [source, status, told] of [
    ['console.log("fine")', 200, 'success'],
    ['throw new Error("no")', 500, 'failure'],
    ['for (;;) {}', 408, 'timeout'],
  ] as const) {
    const script = await create(source, { config: { timeout: 1 } });
    await call('POST', 'endpoints/scripts/', { name: told, script });
    const answer = await call<Trace>('POST', `endpoints/scripts/${told}/run/`, {});
    assert.deepEqual([answer.status, answer.body.status], [status, told]);
    assert.equal(typeof answer.body.duration, 'number');
  }
  const batch = await call<{ code: number; content: object }[]>('POST', 'batch/', {
    requests: [
      {
        method: 'POST',
        path: `${(await call<Page<Endpoint>>('GET', 'endpoints/scripts/')).body.objects[0]?.links.run}`,
      },
    ],
  });
  assert.deepEqual(batch.body, [{ code: 405, content: { detail: 'Batching not allowed.' } }]);
});

test('endpoints are listed by name, changed and deleted, and bad ones refused', async (t) => {
  const { call, create, credentials } = await scriptServer(t);
  const script = await create('');
  for (const name of ['b', 'a', 'c']) await call('POST', 'endpoints/scripts/', { name, script });
  const names = async (query: string) =>
    (await call<Page<Endpoint>>('GET', `endpoints/scripts/${query}`)).body.objects.map(({ name }) => name);
  assert.deepEqual(await names(''), ['a', 'b', 'c']);
  assert.deepEqual(await names('?ordering=desc&page_size=2'), ['c', 'b']);
  assert.deepEqual(await names('?direction=1&last_pk=a'), ['b', 'c']);
  assert.deepEqual(await names('?direction=0&last_pk=c&page_size=1'), ['b']);
  for (const [body, expected] of [
    [{ script }, { name: ['This field is required.'] }],
    [{ name: 'a', script }, { name: ['This field must be unique.'] }],
    [{ name: 'd', script: 5 }, { script: ['Invalid pk "5" - object does not exist.'] }],
    [{ name: 'd', script: 'x' }, { script: ['Incorrect type. Expected pk value, received str.'] }],
    [{ name: 'd', script, public: 7 }, { public: ['"7" is not a valid boolean.'] }],
  ] as const) {
    const { status, body: told } = await call('POST', 'endpoints/scripts/', body);
    assert.deepEqual([status, told], [400, expected]);
  }
  assert.equal((await call('POST', 'endpoints/scripts/', { name: 'a/b', script })).status, 400);
  assert.equal((await call('GET', 'endpoints/scripts/', undefined, credentials.syncano.apiKey)).status, 403);
  assert.equal((await call('DELETE', 'endpoints/scripts/a/')).status, 204);
  const gone = await call('GET', 'endpoints/scripts/a/run/');
  assert.deepEqual([gone.status, gone.body], [404, { detail: 'Script Endpoint was not found.' }]);
  assert.equal((await call('POST', 'endpoints/scripts/', { name: 'a', script })).status, 201);
  // What is not built says so, below what is.
  assert.equal((await call('GET', 'endpoints/data/')).status, 501);
  const { body } = await call<{ links: Record<string, string> }>('GET', 'snippets/');
  assert.equal((await call('GET', body.links.scripts ?? '')).status, 200);
});
