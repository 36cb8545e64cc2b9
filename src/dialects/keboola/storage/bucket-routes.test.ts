import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, keboolaServer } from '../../../../test/support/keboola.ts';

/** Name, call, expected status, what the answer must contain, what it must not. */
type Scenario = [
  name: string,
  call: readonly [method: string, path: string, payload?: object | string],
  status: number,
  contains?: readonly (string | RegExp)[],
  lacks?: readonly string[],
];

function check(
  name: string,
  answer: Answer,
  status: number,
  contains: Scenario[3] = [],
  lacks: Scenario[4] = [],
): void {
  assert.equal(answer.status, status, `${name}: ${answer.body}`);
  for (const part of contains) {
    if (typeof part === 'string') assert.ok(answer.body.includes(part), `${name}: ${part} in ${answer.body}`);
    else assert.match(answer.body, part, name);
  }
  for (const part of lacks) assert.ok(!answer.body.includes(part), `${name}: ${part} not in ${answer.body}`);
}

test('buckets live and die as the original answers', async (t) => {
  const server = await keboolaServer(t);
  const scenarios: Scenario[] = [
    ['none yet', ['GET', 'buckets'], 200, ['[]']],
    [
      'made',
      ['POST', 'buckets', { name: 'main', stage: 'in', description: 'd' }],
      201,
      [
        '"id":"in.c-main"',
        '"name":"c-main"',
        '"displayName":"main"',
        '"updated":null',
        '"backendPath":["sapi_1","in.c-main"]',
        '"metadata":[]',
      ],
      ['sharedBy', 'sharingParameters'],
    ],
    [
      'same id',
      ['POST', 'buckets', { name: 'main', stage: 'in' }],
      400,
      ['"The bucket c-main already exists."', 'storage.buckets.alreadyExists'],
    ],
    ['the prefix is not doubled', ['POST', 'buckets', { name: 'c-more' }], 201, ['"id":"in.c-more"']],
    [
      'same display name',
      ['POST', 'buckets', { name: 'other', displayName: 'main' }],
      400,
      [/The display name \\"main\\" already exists in project\./, 'storage.buckets.alreadyExists'],
    ],
    [
      'bad name',
      ['POST', 'buckets', { name: 'a.b' }],
      400,
      ['storage.buckets.validation', 'contains not allowed characters'],
    ],
    ['no name', ['POST', 'buckets', { stage: 'in' }], 400, ['storage.buckets.validation']],
    [
      'bad stage',
      ['POST', 'buckets', { name: 'x', stage: 'sys' }],
      400,
      ['Invalid request:\\n - stage: ', 'storage.buckets.validation'],
    ],
    ['bad backend', ['POST', 'buckets', { name: 'x', backend: 'oracle' }], 400, ['backend']],
    ['a backend of its own', ['POST', 'buckets', { name: 'rs', backend: 'redshift' }], 201, ['"backend":"redshift"']],
    [
      'a link to what nobody has shared',
      ['POST', 'buckets', { name: 'x', sourceProjectId: 1, sourceBucketId: 'in.c-x' }],
      403,
      ['do not have permission to link'],
    ],
    ['listed', ['GET', 'buckets'], 200, ['"id":"in.c-main"', 'buckets/in.c-main/tables"'], ['"metadata"']],
    ['listed with metadata', ['GET', 'buckets?include=metadata'], 200, ['"metadata":[]']],
    ['with tables', ['GET', 'buckets/in.c-main?include='], 200, ['"tables":[]']],
    [
      'display name changed',
      ['PUT', 'buckets/in.c-main', 'displayName=Main-2'],
      200,
      ['"displayName":"Main-2"', '"updated":null'],
    ],
    [
      'bad display name',
      ['PUT', 'buckets/in.c-main', { displayName: '$$$$$' }],
      400,
      ["Invalid data - displayName: '$$$$$' contains not allowed characters."],
    ],
    [
      'described by metadata',
      [
        'POST',
        'buckets/in.c-main/metadata',
        { provider: 'user', metadata: [{ key: 'KBC.description', value: 'new' }] },
      ],
      201,
      ['"provider":"user"', '"value":"new"'],
    ],
    ['which is its description', ['GET', 'buckets/in.c-main'], 200, ['"description":"new"', /"updated":"\d{4}/]],
    [
      'metadata in a form',
      ['POST', 'buckets/in.c-main/metadata', 'provider=test&metadata[0][key]=a.b&metadata[0][value]='],
      201,
      ['"value":"new"', '"key":"a.b","value":""'],
    ],
    [
      'no provider',
      ['POST', 'buckets/in.c-main/metadata', { metadata: [] }],
      400,
      ['storage.metadata.invalidProvider', 'Provider is required.'],
    ],
    [
      'bad provider',
      ['POST', 'buckets/in.c-main/metadata', { provider: '%x$', metadata: [] }],
      400,
      ['Invalid metadata provider.'],
    ],
    [
      'reserved provider',
      ['POST', 'buckets/in.c-main/metadata', { provider: 'storage', metadata: [] }],
      403,
      ['cannot be edited by user.'],
    ],
    [
      'bad key',
      ['POST', 'buckets/in.c-main/metadata', { provider: 'x', metadata: [{ key: 'a b', value: '' }] }],
      400,
      ['Invalid Metadata Key (metadata[0][key])', 'storage.metadata.invalidKey'],
    ],
    [
      'no array',
      ['POST', 'buckets/in.c-main/metadata', { provider: 'x', metadata: 'a' }],
      400,
      ['The metadata parameter must be an array.'],
    ],
    [
      'no pair',
      ['POST', 'buckets/in.c-main/metadata', { provider: 'x', metadata: ['a'] }],
      400,
      ['storage.metadata.invalidStructure'],
    ],
    [
      'unknown item',
      ['DELETE', 'buckets/in.c-main/metadata/999999'],
      404,
      ['storage.metadata.notFound', /Metadata \\"999999\\" not found for bucket \\"in\.c-main\\"\./],
    ],
    [
      'no number',
      ['DELETE', 'buckets/in.c-main/metadata/notNumber'],
      400,
      [/expected to be type \\"int\\", value \\"notNumber\\" given\./],
    ],
    [
      'unknown bucket',
      ['GET', 'buckets/in.c-none'],
      404,
      [/The bucket \\"in\.c-none\\" was not found in the project \\"1\\"/, 'storage.buckets.notFound'],
    ],
    [
      'deleted as a job',
      ['DELETE', 'buckets/in.c-more?async=True&force=False'],
      202,
      ['"operationName":"bucketDelete"', '"tableId":null', '"results":null'],
    ],
    ['deleted', ['DELETE', 'buckets/in.c-main'], 204],
    ['gone', ['DELETE', 'buckets/in.c-main'], 404, ['storage.buckets.notFound']],
  ];
  for (const [name, [method, path, payload], status, contains, lacks] of scenarios) {
    const isForm = typeof payload === 'string';
    const answer = await server.call(method, `/v2/storage/${path}`, {
      ...(payload !== undefined && { payload }),
      ...(isForm && { headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
    });
    check(name, answer, status, contains, lacks);
  }
  const events = (await server.call('GET', '/v2/storage/events?limit=1000')).json<
    { event: string }[] & Record<string, never>
  >();
  const names = new Set(events.map(({ event }) => event));
  for (const name of ['bucketCreated', 'bucketUpdated', 'bucketMetadataSet', 'bucketDeleted']) {
    assert.ok(names.has(`storage.${name}`), name);
  }
});

test('a token sees and touches only the buckets it was given', async (t) => {
  const server = await keboolaServer(t);
  for (const name of ['read', 'write', 'none']) await server.call('POST', '/v2/storage/buckets', { payload: { name } });
  const made = await server.call('POST', '/v2/storage/tokens', {
    payload: { bucketPermissions: { 'in.c-read': 'read', 'in.c-write': 'write' } },
  });
  const { token } = made.json<{ token: string }>();
  const scenarios: Scenario[] = [
    ['list', ['GET', 'buckets'], 200, ['in.c-read', 'in.c-write'], ['in.c-none']],
    ['read', ['GET', 'buckets/in.c-read'], 200],
    ['not given', ['GET', 'buckets/in.c-none'], 403, ['accessDenied', "You don't have access to the resource."]],
    ['not there', ['GET', 'buckets/in.c-what'], 403, ['accessDenied']],
    ['make', ['POST', 'buckets', { name: 'mine' }], 403],
    ['delete', ['DELETE', 'buckets/in.c-write'], 403],
    ['describe with read', ['POST', 'buckets/in.c-read/metadata', { provider: 'x', metadata: [] }], 403],
    ['describe with write', ['POST', 'buckets/in.c-write/metadata', { provider: 'x', metadata: [] }], 201],
    ['table into a bucket to read', ['POST', 'buckets/in.c-read/tables-async', { name: 't', dataFileId: 1 }], 403],
  ];
  for (const [name, [method, path, payload], status, contains, lacks] of scenarios) {
    const options = { token, ...(payload !== undefined && { payload }) };
    check(name, await server.call(method, `/v2/storage/${path}`, options), status, contains, lacks);
  }
});
