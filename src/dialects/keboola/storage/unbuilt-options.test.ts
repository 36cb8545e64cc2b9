import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

test('an option that is not built is refused by name, one without effect is taken', async (t) => {
  const { call, core, credentials } = await keboolaServer(t);
  const actor = await core.identity.authenticateStorageToken(credentials.keboola.storageToken);
  await core.buckets.create(actor, { stage: 'in', name: 'b' });
  await core.tables.create(actor, { bucketId: 'in.c-b', name: 't', columns: ['x'] });
  const filter = (type: string) => ({ whereFilters: [{ column: 'x', values: ['1'], type }] });
  const cases: [method: string, path: string, body: object | undefined, status: number, text: RegExp][] = [
    ['POST', 'import-async', { dataFileId: 1, treatValuesAsNull: ['a', 'b'] }, 400, /1 element or less/],
    ['POST', 'import-async', { dataFileId: 1, deduplicationStrategy: 'insert', useTimestampFromDataFile: 1 }, 202, /./],
    ['POST', 'import-async', { dataFileId: 1, deduplicationStrategy: 'odd' }, 400, /deduplicationStrategy/],
    ['POST', 'export-async', { format: 'json' }, 501, /format json/],
    ['POST', 'export-async', { format: 'raw' }, 501, /format raw/],
    ['POST', 'export-async', { format: 'odd' }, 400, /Invalid format/],
    ['POST', 'export-async', { fulltextSearch: 'a' }, 501, /fulltextSearch/],
    ['POST', 'export-async', { timezone: 'Europe/Prague' }, 501, /timezone/],
    ['POST', 'export-async', { sourceBranchId: '999' }, 501, /sourceBranchId/],
    ['POST', 'export-async', filter('TIME'), 400, /TIME not recognized/],
    ['GET', 'data-preview?format=json&fulltextSearch=a', undefined, 501, /fulltextSearch/],
    ['GET', 'data-preview?format=raw', undefined, 501, /format raw/],
    ['POST', 'import-async', { dataFileId: 1, treatValuesAsNull: [''], deduplicationStrategy: 'upsert' }, 202, /./],
    ['POST', 'import-async', { dataFileId: 1, useTimestampFromDataFile: false, transactional: null }, 202, /./],
    ['POST', 'export-async', { timezone: 'UTC', sourceBranchId: actor.branchId, format: 'rfc' }, 202, /./],
    ['POST', 'export-async', { timezone: null, fulltextSearch: '', ...filter('SCALAR') }, 202, /./],
  ];
  for (const [method, path, payload, status, text] of cases) {
    const answer = await call(method, `/v2/storage/tables/in.c-b.t/${path}`, payload === undefined ? {} : { payload });
    assert.equal(answer.status, status, `${path} ${JSON.stringify(payload)}: ${answer.body}`);
    assert.match(answer.body, text);
  }
});
