import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type KeboolaServer, keboolaServer, type RequestOptions } from '../../../../test/support/keboola.ts';

const base = '/v2/storage/components/keboola.ex-http/configs';

type Body = Record<string, unknown>;

/** One request and what is expected of its answer; `has` lists members of the body. */
type Scenario = [
  what: string,
  method: string,
  url: string,
  body: unknown,
  status: number,
  has?: Body,
  options?: RequestOptions,
];

async function play(app: KeboolaServer, scenarios: Scenario[]): Promise<void> {
  for (const [what, method, url, body, status, has = {}, options] of scenarios) {
    const answer = await app.request(method, url, body, options);
    assert.equal(answer.status, status, `${what}: ${answer.text}`);
    const shown = Object.fromEntries(Object.keys(has).map((key) => [key, (answer.body as Body)[key]]));
    assert.deepEqual(shown, has, what);
    if (status === 204) assert.equal(answer.headers['content-type'], undefined, what);
    else assert.equal(answer.headers['content-type'], 'application/json', what);
  }
}

test('the whole configuration object', async (t) => {
  const app = await keboolaServer(t);
  const answer = await app.request('POST', base, { name: 'My config', configurationId: 'c', state: { s: 1 } });
  assert.equal(answer.status, 201);
  const created = answer.body as Body & { currentVersion: Body };
  const creatorToken = { id: app.actor.token.id, description: app.actor.token.description };
  assert.match(created.created as string, /T\d\d:\d\d:\d\d\+0000$/);
  assert.match(created.currentVersion.versionIdentifier as string, /^[0-9A-HJKMNP-TV-Z]{26}$/i);
  const { created: time } = created;
  assert.deepEqual(created, {
    ...{ id: 'c', name: 'My config', description: '', created: time, creatorToken, version: 1 },
    ...{ changeDescription: 'Configuration created', isDisabled: false, isDeleted: false },
    ...{ configuration: {}, rowsSortOrder: [], rows: [], state: { s: 1 } },
    currentVersion: {
      created: created.currentVersion.created,
      creatorToken,
      changeDescription: 'Configuration created',
      versionIdentifier: created.currentVersion.versionIdentifier,
    },
  });
  for (const url of [`${base}/c`, `${base}/c/`, `/v2/storage/branch/default/components/keboola.ex-http/configs/c`]) {
    assert.deepEqual((await app.request('GET', url)).body, created, url);
  }
  const inBranch = `/v2/storage/branch/${app.actor.branchId}/components/keboola.ex-http/configs`;
  assert.deepEqual((await app.request('GET', inBranch)).body, [created]);
});

test('a configuration is answered byte for byte, however it came', async (t) => {
  const app = await keboolaServer(t);
  const text = '{"10":1.0,"2":{},"a":[],"big":12345678901234567890,"é":"\\u00e9"}';
  const forms: [string, string | Body, string][] = [
    ['json', `{"name":"x","configuration": ${text} ,"state":${text}}`, 'application/json'],
    ['json text in json', JSON.stringify({ name: 'x', configuration: text, state: text }), 'application/json'],
    [
      'form',
      new URLSearchParams({ name: 'x', configuration: text, state: text }).toString(),
      'application/x-www-form-urlencoded',
    ],
  ];
  for (const [what, body, type] of forms) {
    const created = await app.request('POST', base, body, { headers: { 'content-type': type } });
    assert.equal(created.status, 201, created.text);
    for (const answer of [created, await app.request('GET', `${base}/${(created.body as Body).id}`)]) {
      assert.ok(answer.text.includes(`"configuration":${text},`), `${what}: ${answer.text}`);
      assert.ok(answer.text.includes(`"state":${text}}`), what);
    }
  }
  const list = await app.request('GET', '/v2/storage/components?include=configuration,state');
  assert.equal(list.text.split(text).length, 7);
});

test('configurations: requests and answers', async (t) => {
  const app = await keboolaServer(t);
  const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } };
  const validation = { code: 'storage.components.validation', status: 'error' };
  await play(app, [
    ['no name', 'POST', base, { configurationId: 'c' }, 400, validation],
    ['empty name', 'POST', base, { name: '' }, 400, validation],
    [
      'unknown component',
      'POST',
      '/v2/storage/components/no.such/configs',
      { name: 'x' },
      404,
      { code: 'storage.components.notFound' },
    ],
    ['bad id', 'POST', base, { name: 'x', configurationId: 'a/b' }, 400, validation],
    [
      'bad configuration',
      'POST',
      base,
      { name: 'x', configuration: '{' },
      400,
      { code: 'validation.invalidConfigurationFormat' },
    ],
    ['bad state', 'POST', base, { name: 'x', state: '{' }, 400, { code: 'validation.invalidStateFormat' }],
    [
      'create',
      'POST',
      base,
      { name: 'x', configurationId: 'c', description: null, isDisabled: 'true' },
      201,
      { id: 'c', isDisabled: true, version: 1 },
    ],
    ['again', 'POST', base, { name: 'x', configurationId: 'c' }, 400, { code: 'configurationAlreadyExists' }],
    [
      'form update',
      'PUT',
      `${base}/c`,
      'name=y&isDisabled=0&configuration=%7B%22a%22%3A%5B%5D%7D&changeDescription=why',
      200,
      { name: 'y', isDisabled: false, configuration: { a: [] }, version: 2, changeDescription: 'why' },
      form,
    ],
    [
      'no change',
      'PUT',
      `${base}/c`,
      { name: 'y', configuration: { a: [] }, changeDescription: 'again' },
      200,
      { version: 2, changeDescription: 'why' },
    ],
    ['state alone', 'PUT', `${base}/c`, { state: { a: 1 } }, 200, { version: 2, state: { a: 1 } }],
    ['state call', 'PUT', `${base}/c/state`, { state: '{"b":{}}' }, 200, { version: 2, state: { b: {} } }],
    [
      'state with more',
      'PUT',
      `${base}/c/state`,
      { state: {}, description: 'x' },
      400,
      { ...validation, error: 'Invalid parameters - description: This field was not expected.' },
    ],
    [
      'state missing',
      'PUT',
      `${base}/c/state`,
      {},
      400,
      { ...validation, error: 'Invalid parameters - state: This field is missing.' },
    ],
    [
      'state blank',
      'PUT',
      `${base}/c/state`,
      { state: '' },
      400,
      { ...validation, error: 'Invalid parameters - state: This value should not be blank.' },
    ],
    [
      'state not JSON',
      'PUT',
      `${base}/c/state`,
      { state: 'x' },
      400,
      { ...validation, error: 'Invalid parameters - state: This value should be valid JSON.' },
    ],
    [
      'order of unknown rows',
      'PUT',
      `${base}/c`,
      { rowsSortOrder: ['z'] },
      400,
      { code: 'validation.invalidRowSortOrder' },
    ],
    ['order of wrong type', 'PUT', `${base}/c`, { rowsSortOrder: 'z' }, 400, validation],
    [
      'one version',
      'GET',
      `${base}/c/versions/1`,
      undefined,
      200,
      { version: 1, name: 'x', isDisabled: true, rows: [], state: undefined },
    ],
    ['no version', 'GET', `${base}/c/versions/9`, undefined, 404, { error: 'Version 9 not found' }],
    ['no number', 'GET', `${base}/c/versions/99999999999`, undefined, 404],
    ['rollback', 'POST', `${base}/c/versions/1/rollback`, undefined, 201, { version: 3 }],
    [
      'rolled back',
      'GET',
      `${base}/c`,
      undefined,
      200,
      { name: 'x', changeDescription: 'Rollback to version 1', state: { b: {} } },
    ],
    ['copy without name', 'POST', `${base}/c/versions/1/create`, {}, 400, validation],
    ['delete', 'DELETE', `${base}/c`, undefined, 204],
    [
      'gone',
      'GET',
      `${base}/c`,
      undefined,
      404,
      { error: 'Configuration "c" not found', code: 'storage.configuration.notFound' },
    ],
    [
      'restore',
      'POST',
      `${base}/c/restore`,
      undefined,
      201,
      { version: 5, changeDescription: 'Configuration restored' },
    ],
    ['restore again', 'POST', `${base}/c/restore`, undefined, 404],
    [
      'reset',
      'POST',
      `${base}/c/reset-to-default`,
      undefined,
      400,
      { error: 'Reset to default branch is not implemented for default branch' },
    ],
    ['delete', 'DELETE', `${base}/c`, undefined, 204],
    ['purge', 'DELETE', `${base}/c`, undefined, 204],
    ['nothing left', 'DELETE', `${base}/c`, undefined, 404],
    ['no token', 'GET', base, undefined, 401, {}, { token: null }],
  ]);
});

test('rows: requests and answers', async (t) => {
  const app = await keboolaServer(t);
  await app.request('POST', base, { name: 'x', configurationId: 'c' });
  const rows = `${base}/c/rows`;
  await play(app, [
    [
      'create',
      'POST',
      rows,
      { rowId: 'r', name: 'row', configuration: { a: 1 } },
      201,
      { id: 'r', version: 1, state: {}, configuration: { a: 1 } },
    ],
    ['again', 'POST', rows, { rowId: 'r' }, 400, { code: 'configurationRowAlreadyExists' }],
    [
      'update',
      'PUT',
      `${rows}/r`,
      { configuration: '{"a":2}', changeDescription: 'why' },
      200,
      { version: 2, changeDescription: 'why' },
    ],
    ['no change', 'PUT', `${rows}/r`, { configuration: { a: 2 } }, 200, { version: 2 }],
    ['state', 'PUT', `${rows}/r/state`, { state: { s: 1 } }, 200, { version: 2, state: { s: 1 } }],
    [
      'state with more',
      'PUT',
      `${rows}/r/state`,
      { state: {}, name: 'x' },
      400,
      { code: 'storage.componentsRows.validation' },
    ],
    ['state not JSON', 'PUT', `${rows}/r/state`, { state: 'x' }, 400, { code: 'validation.invalidStateFormat' }],
    ['one', 'GET', `${rows}/r`, undefined, 200, { name: 'row', state: { s: 1 } }],
    ['none', 'GET', `${rows}/zz`, undefined, 404, { error: 'Row zz not found', code: 'notFound' }],
    [
      'old version',
      'GET',
      `${rows}/r/versions/1`,
      undefined,
      200,
      { id: 'r', version: 1, configuration: { a: 1 }, state: undefined },
    ],
    [
      'rollback',
      'POST',
      `${rows}/r/versions/1/rollback`,
      {},
      201,
      { version: 3, configuration: { a: 1 }, changeDescription: 'Rollback to version 1' },
    ],
    [
      'copy',
      'POST',
      `${rows}/r/versions/2/create`,
      { targetConfigId: 'c' },
      201,
      { version: 1, configuration: { a: 2 }, state: {} },
    ],
    ['delete with a body', 'DELETE', `${rows}/r`, { changeDescription: 'not needed' }, 204],
    ['configuration after it', 'GET', `${base}/c`, undefined, 200, { version: 6, changeDescription: 'not needed' }],
    ['made again', 'POST', rows, { rowId: 'r' }, 201, { version: 4 }],
  ]);
  const versions = (await app.request('GET', `${base}/c/versions?include=configuration&limit=2`)).body as Body[];
  assert.deepEqual(
    versions.map(({ version }) => version),
    [7, 6],
  );
  assert.deepEqual(versions[0]?.configuration, {});
  assert.equal(((await app.request('GET', `${base}/c/versions`)).body as Body[])[0]?.configuration, undefined);
  const copy = await app.request('POST', `${base}/c/versions/7/create`, { name: 'copy' });
  assert.deepEqual(copy.body, { id: (copy.body as Body).id });
});

test('components with their configurations, as much of them as asked for', async (t) => {
  const app = await keboolaServer(t);
  await app.request('POST', base, { name: 'x', configurationId: 'c', configuration: { a: 1 } });
  await app.request('POST', `${base}/c/rows`, { rowId: 'r' });
  await app.request('POST', '/v2/storage/components/wr-db/configs', { name: 'w', configurationId: 'w' });
  const list = async (query: string, options?: RequestOptions) =>
    (await app.request('GET', `/v2/storage/components${query}`, undefined, options)).body as (Body & {
      configurations: Body[];
    })[];
  assert.deepEqual(
    (await list('')).map(({ id }) => id),
    ['keboola.ex-http', 'wr-db'],
  );
  assert.deepEqual(
    (await list('?componentType=writer')).map(({ id }) => id),
    ['wr-db'],
  );
  assert.deepEqual(await list('?isDeleted=1'), []);
  const keys = async (query: string) => Object.keys((await list(query))[0]?.configurations[0] ?? {}).sort();
  const brief = [
    'changeDescription',
    'created',
    'creatorToken',
    'currentVersion',
    'description',
    'id',
    'isDeleted',
    'isDisabled',
    'name',
    'version',
  ];
  assert.deepEqual(await keys(''), brief);
  assert.deepEqual(
    await keys('?include=configuration,rows,state'),
    [...brief, 'configuration', 'rows', 'rowsSortOrder', 'state'].sort(),
  );
  const [withRows] = await list('?include[]=rows');
  assert.equal((withRows!.configurations[0]!.rows as Body[])[0]?.state, undefined);
  const scoped = await app.tokenActor({ componentAccess: ['wr-db'] });
  assert.deepEqual(
    (await list('', { token: scoped.secret })).map(({ id }) => id),
    ['wr-db'],
  );
  await play(app, [
    [
      'bad include',
      'GET',
      '/v2/storage/components?include=invalid',
      undefined,
      400,
      {
        error: 'Invalid request',
        errors: [
          {
            key: 'include',
            message: 'Invalid include parameters: "invalid". Only following are allowed: configuration, rows, state.',
          },
        ],
      },
    ],
    [
      'definition without a token',
      'GET',
      '/v2/storage/components/keboola.ex-http',
      undefined,
      200,
      { id: 'keboola.ex-http', type: 'extractor' },
      { token: null },
    ],
    ['unknown', 'GET', '/v2/storage/components/no.such', undefined, 404, { code: 'storage.components.notFound' }],
    ['other component', 'GET', base, undefined, 403, { code: 'accessDenied' }, { token: scoped.secret }],
  ]);
});

test('the list of components reads contents only when they are asked for', async (t: TestContext) => {
  const app = await keboolaServer(t);
  const made = { id: '1', name: 'x', configuration: '{"a":1}', state: '{"b":2}' };
  await app.core.configurations.create(app.actor, 'keboola.ex-http', made);
  await app.core.configurations.rows.create(app.actor, { componentId: 'keboola.ex-http', configurationId: '1' }, {});
  const [brief] = await app.core.configurations.list(app.actor, { isBrief: true });
  assert.deepEqual([brief?.configuration.text, brief?.state.text, brief?.rows], ['{}', '{}', []]);
  type Listed = { configurations: Record<string, unknown>[] }[];
  const shown = async (include: string) =>
    Object.keys(
      ((await app.request('GET', `/v2/storage/components${include}`)).body as Listed)[0]?.configurations[0] ?? {},
    );
  const always = await shown('');
  assert.ok(always.includes('currentVersion'));
  for (const part of ['configuration', 'rows', 'state']) {
    assert.ok(!always.includes(part), part);
    assert.ok((await shown(`?include=${part}`)).includes(part), part);
  }
});

test('too large a configuration is refused', async (t: TestContext) => {
  const app = await keboolaServer(t);
  const answer = await app.request('POST', base, { name: 'x', configuration: { a: 'x'.repeat(4 * 1024 * 1024) } });
  assert.equal(answer.status, 413);
  const large = await app.request('POST', base, { name: 'x', configuration: { a: 'x'.repeat(3 * 1024 * 1024) } });
  assert.equal(large.status, 201);
});
