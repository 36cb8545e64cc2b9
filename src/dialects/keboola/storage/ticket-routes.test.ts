import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

test('tickets go up, and texts become names', async (t) => {
  const { call } = await keboolaServer(t);
  const ticket = async () =>
    (await call('POST', '/v2/storage/tickets/')).json<{ id: number } & Record<string, never>>().id;
  const first = await ticket();
  assert.ok((await ticket()) > first);
  const cases: [string, object, number, RegExp][] = [
    [
      'webalize/display-name',
      { displayName: 'Môj 1. obľúbený bucket' },
      200,
      /^\{"displayName":"Moj-1-oblubeny-bucket"\}$/,
    ],
    ['webalize/display-name', { displayName: '***' }, 422, /storage\.webalize\.displayName\.invalid/],
    [
      'webalize/column-names',
      { columnNames: ['žluťoučký kůň', 'oid', '***', 'a-b'] },
      200,
      /^\{"columnNames":\["zlutoucky_kun","oid","","a_b"\]\}$/,
    ],
    [
      'webalize/column-names',
      { columnNames: [null] },
      400,
      /"Invalid request:\\n - columnNames\[0\]: \\"This value should not be blank\.\\""/,
    ],
    ['validate/column-names', { columnNames: ['a', 'A_1'] }, 204, /^$/],
    [
      'validate/column-names',
      { columnNames: ['oid'] },
      422,
      /\\"oid\\" is a system column used by the database for internal purposes\./,
    ],
    [
      'validate/column-names',
      { columnNames: ['x y', 'a'.repeat(65)] },
      422,
      /columnNames\[1\]: \\"Column name cannot be longer than 64 characters\.\\""/,
    ],
  ];
  for (const [path, payload, status, pattern] of cases) {
    const answer = await call('POST', `/v2/storage/${path}`, { payload });
    assert.equal(answer.status, status, `${path}: ${answer.body}`);
    assert.match(answer.body, pattern);
  }
});
