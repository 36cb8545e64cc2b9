import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keboolaServer } from '../../../../test/support/keboola.ts';

const URL = '/v2/storage/triggers/';

test('triggers are made, listed, changed and deleted in the shapes clients read', async (t) => {
  const { core, actor, request, tokenActor } = await keboolaServer(t);
  await core.buckets.create(actor, { stage: 'in', name: 'b' });
  await core.tables.create(actor, { bucketId: 'in.c-b', name: 't', columns: ['id'] });
  const { token } = await core.identity.createToken(actor, { description: 'runs', canManageBuckets: true });
  const body = {
    runWithTokenId: token.id,
    component: 'orchestration',
    configurationId: 123,
    coolDownPeriodMinutes: 20,
    tableIds: ['in.c-b.t'],
  };
  const made = await request('POST', URL, body);
  assert.equal(made.status, 201, made.text);
  const { id, lastRun, ...rest } = made.body as Record<string, unknown>;
  assert.match(String(lastRun), /\+0000$/);
  assert.equal(typeof id, 'string');
  assert.deepEqual(rest, {
    runWithTokenId: token.id,
    component: 'orchestration',
    configurationId: '123',
    coolDownPeriodMinutes: 20,
    creatorToken: { id: actor.token.id, description: actor.token.description },
    tables: [{ tableId: 'in.c-b.t' }],
    isEnabled: true,
  });
  assert.deepEqual((await request('GET', `${URL}${id}/`)).body, made.body);
  assert.deepEqual((await request('GET', `${URL}?component=orchestration&configurationId=123`)).body, [made.body]);
  assert.deepEqual((await request('GET', `${URL}?component=other`)).body, []);
  const form = 'coolDownPeriodMinutes=7&tableIds%5B%5D=in.c-b.t';
  const changed = await request('PUT', `${URL}${id}/`, form, {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  assert.equal((changed.body as { coolDownPeriodMinutes: number }).coolDownPeriodMinutes, 7, changed.text);

  const refused: [object, number, RegExp][] = [
    [{ ...body, coolDownPeriodMinutes: 0 }, 400, /Minimal cool down period is 1 minute/],
    [{ ...body, runWithTokenId: undefined }, 400, /runWithTokenId/],
    [{ ...body, component: undefined }, 400, /component/],
    [{ ...body, configurationId: undefined }, 400, /configurationId/],
    [{ ...body, tableIds: undefined }, 400, /tableIds/],
    [{ ...body, runWithTokenId: 424242 }, 400, /Token with id \\"424242\\" was not found\./],
    [{ ...body, tableIds: ['in.c-b.none'] }, 404, /storage\.tables\.notFound/],
    [{ ...body, tableIds: 7 }, 404, /storage\.tables\.notFound/],
    [{ ...body, tableIds: [{}] }, 400, /tableIds\[0\]/],
    [{ ...body, coolDownPeriodMinutes: 1e12 }, 400, /cool down/],
    [{ ...body, runWithTokenId: 1e15 }, 400, /was not found/],
  ];
  for (const [wrong, status, text] of refused) {
    const answer = await request('POST', URL, wrong);
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, text);
  }
  const inUse = await request('DELETE', `/v2/storage/tokens/${token.id}`);
  assert.equal(inUse.status, 400);
  assert.match(inUse.text, /storage\.tokens\.cannotDeleteDueToOrchestration/);
  assert.match(inUse.text, /inside component \\"orchestration\\" with configuration id \\"123\\"/);
  const { secret } = await tokenActor({ componentAccess: ['other'] });
  assert.equal((await request('GET', `${URL}${id}`, undefined, { token: secret })).status, 403);
  assert.equal((await request('DELETE', `${URL}${id}/`)).status, 204);
  assert.equal((await request('GET', `${URL}${id}/`)).status, 404);
  assert.equal((await request('PUT', `${URL}${id}/`, {})).status, 404);
  assert.equal((await request('DELETE', `/v2/storage/tokens/${token.id}`)).status, 204);
});
