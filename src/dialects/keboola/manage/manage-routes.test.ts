import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type KeboolaServer, keboolaServer } from '../../../../test/support/keboola.ts';

type Json = { id: number; token: string; [key: string]: unknown };

/** The installation's first administrator, and a way to call as anybody. */
async function world(t: TestContext) {
  const server = await keboolaServer(t);
  const root = server.credentials.keboola.manageToken;
  const as =
    (token: string) =>
    async (method: string, url: string, body?: object): Promise<{ status: number; json: Json; text: string }> => {
      const answer = await server.call(method, `/manage${url}`, {
        token: null,
        headers: { 'x-kbc-manageapitoken': token },
        ...(body && { payload: body }),
      });
      return {
        status: answer.status,
        json: answer.body ? answer.json<Json & Record<string, never>>() : ({} as Json),
        text: answer.body,
      };
    };
  const admin = as(root);
  const person = async (name: string) => {
    const { json, status, text } = await admin('POST', '/users', { email: `${name}@example.com`, name });
    assert.equal(status, 201, text);
    return { id: json.id, email: `${name}@example.com`, call: as(json.token) };
  };
  return { server, admin, as, person };
}

/** Somebody on every level of one organization with one project, and a stranger. */
async function levels(t: TestContext) {
  const { server, admin, as, person } = await world(t);
  const [maintainer, member, projectAdmin, guest, stranger] = await Promise.all(
    ['ma', 'oa', 'pm', 'guest', 'x'].map(person),
  );
  assert.ok(maintainer && member && projectAdmin && guest && stranger);
  const m = (await admin('POST', '/maintainers', { name: 'Second' })).json.id;
  assert.equal((await admin('POST', `/maintainers/${m}/users`, { email: maintainer.email })).status, 204);
  const o = (await maintainer.call('POST', `/maintainers/${m}/organizations`, { name: 'Org' })).json.id;
  assert.equal((await maintainer.call('POST', `/organizations/${o}/users`, { email: member.email })).status, 204);
  assert.equal((await maintainer.call('DELETE', `/organizations/${o}/users/${maintainer.id}`)).status, 204);
  const made = await member.call('POST', `/organizations/${o}/projects`, { name: 'Shop', type: 'poc' });
  assert.equal(made.status, 201, made.text);
  const p = made.json.id;
  assert.equal((await member.call('POST', `/projects/${p}/users`, { email: projectAdmin.email })).status, 204);
  assert.equal((await member.call('POST', `/projects/${p}/users`, { email: guest.email, role: 'guest' })).status, 204);
  return { server, admin, as, person, maintainer, member, projectAdmin, guest, stranger, m, o, p, made: made.json };
}

test('manage: everybody gets on his level what the matrix of the original says', async (t) => {
  const { admin, person, maintainer, member, projectAdmin, guest, stranger, m, o, p } = await levels(t);
  const other = await person('other');
  const callers = [admin, maintainer.call, member.call, projectAdmin.call, guest.call, stranger.call];
  const table: [string, string, object | undefined, number[]][] = [
    ['GET', `/maintainers/${m}`, undefined, [200, 200, 403, 403, 403, 403]],
    ['PATCH', `/maintainers/${m}`, { name: 'New' }, [200, 200, 403, 403, 403, 403]],
    ['POST', '/maintainers', { name: 'n' }, [201, 403, 403, 403, 403, 403]],
    ['GET', `/organizations/${o}`, undefined, [200, 200, 200, 403, 403, 403]],
    ['PATCH', `/organizations/${o}`, { name: 'Org' }, [200, 200, 200, 403, 403, 403]],
    ['PATCH', `/organizations/${o}`, { allowAutoJoin: true }, [403, 403, 200, 403, 403, 403]],
    ['PATCH', `/organizations/${o}`, { crmId: 'c' }, [200, 200, 403, 403, 403, 403]],
    ['GET', `/organizations/${o}/projects-users`, undefined, [403, 403, 200, 403, 403, 403]],
    ['POST', `/organizations/${o}/projects`, { name: 'n' }, [403, 403, 201, 403, 403, 403]],
    ['POST', `/organizations/${o}/invitations`, { email: 'new@example.com' }, [403, 403, 201, 403, 403, 403]],
    ['GET', `/projects/${p}`, undefined, [200, 200, 200, 200, 200, 403]],
    ['PUT', `/projects/${p}`, { name: 'Shop' }, [200, 200, 200, 200, 403, 403]],
    ['PUT', `/projects/${p}`, { expirationDays: 0 }, [200, 403, 403, 403, 403, 403]],
    ['GET', `/projects/${p}/users`, undefined, [200, 200, 200, 200, 200, 403]],
    ['POST', `/projects/${p}/limits`, { limits: [] }, [200, 403, 403, 403, 403, 403]],
    ['POST', `/projects/${p}/disabled`, { isDisabled: false }, [200, 403, 403, 403, 403, 403]],
    ['GET', `/projects/${p}/invitations`, undefined, [403, 403, 200, 200, 200, 403]],
    ['PATCH', `/projects/${p}/users/${guest.id}`, { role: 'guest' }, [403, 403, 200, 200, 403, 403]],
    ['PATCH', `/projects/${p}/users/${guest.id}`, { role: 'share' }, [403, 403, 200, 403, 403, 403]],
    ['PATCH', `/projects/${p}/users/${guest.id}`, { role: 'guest' }, [403, 403, 200, 200, 403, 403]],
    ['POST', `/projects/${p}/tokens`, { description: 'd' }, [201, 201, 201, 201, 403, 403]],
    ['POST', `/projects/${p}/request-access`, {}, [400, 400, 400, 400, 400, 403]],
    ['GET', '/deleted-projects', undefined, [200, 403, 403, 403, 403, 403]],
    ['GET', '/users', undefined, [200, 403, 403, 403, 403, 403]],
    ['GET', `/users/${guest.id}`, undefined, [200, 403, 403, 403, 200, 403]],
    ['POST', `/users/${other.id}/super-admin`, undefined, [200, 403, 403, 403, 403, 403]],
    ['DELETE', `/users/${other.id}/super-admin`, undefined, [200, 403, 403, 403, 403, 403]],
  ];
  for (const [method, url, body, expected] of table) {
    const seen: number[] = [];
    for (const call of callers) seen.push((await call(method, url, body)).status);
    assert.deepEqual(seen, expected, `${method} ${url} ${JSON.stringify(body)}`);
  }
  for (const url of [`/projects/${p}`, '/projects/99999'])
    assert.match((await stranger.call('GET', url)).text, /You don't have access to project \d+/);
  assert.equal((await admin('GET', '/projects/99999')).status, 404);
  assert.equal((await admin('GET', '/projects/x')).status, 404);
});

test('manage: a project as the original shows it, deleted and brought back', async (t) => {
  const { server, admin, member, o, p, made } = await levels(t);
  assert.equal(made.type, 'poc');
  assert.equal((made.organization as { id: number }).id, o);
  const limits = [
    { name: 'storage.jobsParallelism', value: 3 },
    { name: 'kbc.adminsCount', value: 7 },
  ];
  const limited = await admin('POST', `/projects/${p}/limits`, { limits });
  const shown = limited.json.limits as Record<string, { name: string; value: number }>;
  assert.deepEqual([shown['storage.jobsParallelism'], shown['kbc.adminsCount']], limits);
  assert.equal(shown['components.jobsParallelism']?.value, 10, 'the others stay');
  assert.equal((await admin('DELETE', `/projects/${p}/limits/kbc.adminsCount`)).status, 204);

  const { token } = (await member.call('POST', `/projects/${p}/tokens`, { canManageBuckets: true })).json;
  const verify = () => server.call('GET', '/v2/storage/tokens/verify', { token });
  assert.equal((await verify()).status, 200);
  await admin('POST', `/projects/${p}/disabled`, { isDisabled: true, disableReason: 'Moving house' });
  const disabled = await verify();
  assert.deepEqual(
    [disabled.status, disabled.json().code, disabled.json().reason],
    [503, 'MAINTENANCE', 'Moving house'],
  );
  await admin('POST', `/projects/${p}/disabled`, { isDisabled: false });
  assert.equal((await verify()).status, 200);

  assert.equal((await member.call('DELETE', `/organizations/${o}`)).status, 400, 'it still has a project');
  assert.equal((await member.call('DELETE', `/projects/${p}`)).status, 204);
  assert.equal((await verify()).status, 401);
  assert.equal((await member.call('GET', `/projects/${p}`)).status, 403);
  const gone = (await admin('GET', `/deleted-projects/${p}`)).json;
  assert.deepEqual([gone.id, gone.isDeleted], [p, true]);
  assert.equal((await admin('DELETE', `/deleted-projects/${p}`)).status, 204);
  assert.equal((await verify()).status, 200);
});

test('manage: members have master tokens of their role, and lose everything with the membership', async (t) => {
  const { server, member, guest, projectAdmin, p } = await levels(t);
  const own = async (call: typeof member.call) =>
    (await call('POST', `/projects/${p}/tokens`, { isMasterToken: true })).json;
  const storage = (token: string, method: string, path: string, payload?: object) =>
    server.call(method, `/v2/storage${path}`, { token, ...(payload && { payload }) });
  const master = await own(projectAdmin.call);
  const ofGuest = await own(guest.call);
  const seen = (await storage(ofGuest.token, 'GET', '/tokens/verify')).json<Json & Record<string, never>>() as Json;
  assert.deepEqual(
    [seen.isMasterToken, (seen.admin as Record<string, unknown>).role, seen.canManageTokens],
    [true, 'guest', false],
  );
  assert.equal((seen.admin as Record<string, unknown>).isOrganizationMember, false);
  const foreign = await storage(master.token, 'POST', `/tokens/${ofGuest.id}/refresh`);
  assert.equal(foreign.status, 403, "the answer would be another person's secret");
  assert.equal((await storage(master.token, 'POST', `/tokens/${master.id}/refresh`)).status, 200);

  await member.call('PATCH', `/projects/${p}/users/${guest.id}`, { role: 'readOnly' });
  const bucket = { stage: 'in', name: 'b' };
  assert.equal((await storage(ofGuest.token, 'POST', '/buckets', bucket)).status, 403, 'a changed role holds at once');
  assert.equal((await storage(ofGuest.token, 'POST', '/tokens', {})).status, 403);
  assert.equal((await guest.call('DELETE', `/projects/${p}/users/${guest.id}`)).status, 204, 'everybody may leave');
  assert.equal((await storage(ofGuest.token, 'GET', '/tokens/verify')).status, 401);
  await member.call('POST', `/projects/${p}/users`, { email: guest.email, expirationSeconds: 1 });
  const shortly = await own(guest.call);
  assert.equal((await storage(shortly.token, 'GET', '/tokens/verify')).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  assert.equal((await storage(shortly.token, 'GET', '/tokens/verify')).status, 401, 'the membership has ended');
  assert.equal((await guest.call('GET', `/projects/${p}`)).status, 403);
});

test('manage: invitations and requests are answered once, by whom they are for', async (t) => {
  const { admin, member, maintainer, projectAdmin, stranger, o, p } = await levels(t);
  const says = (answer: { status: number; text: string }, status: number, text: RegExp) => {
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, text);
  };
  const invite = (email: string, role = 'readOnly') =>
    projectAdmin.call('POST', `/projects/${p}/invitations`, { email, role, reason: 'audit' });
  const made = await invite(stranger.email);
  assert.deepEqual([made.status, made.json.role, made.json.reason], [201, 'readOnly', 'audit']);
  says(await invite(stranger.email), 400, /already invited/);
  says(await invite(projectAdmin.email), 400, /You cannot invite yourself/);
  says(await invite(stranger.email, 'foo'), 400, /Role foo is not valid. Allowed roles are: admin, guest/);
  says(await invite('no address'), 422, /Email address is not valid/);
  const mine = await stranger.call('GET', '/current-user/projects-invitations');
  assert.equal((mine.json as unknown as Json[])[0]?.id, made.json.id);
  const accept = `/current-user/projects-invitations/${made.json.id}`;
  assert.equal((await maintainer.call('PUT', accept)).status, 404, 'it is not for him');
  assert.equal((await stranger.call('PUT', accept)).status, 202);
  assert.equal((await stranger.call('PUT', accept)).status, 404);
  says(await invite(stranger.email), 400, /already a member/);

  says(await maintainer.call('POST', `/projects/${p}/request-access`, {}), 400, /join-project method/);
  await member.call('PATCH', `/organizations/${o}`, { allowAutoJoin: false });
  assert.equal((await admin('POST', `/projects/${p}/join-project`, {})).status, 403);
  says(await admin('POST', `/organizations/${o}/join-organization`), 403, /manage.joinOrganizationPermissionDenied/);
  const asked = await maintainer.call('POST', `/projects/${p}/request-access`, { reason: 'help' });
  assert.equal(asked.status, 201, asked.text);
  says(await maintainer.call('POST', `/projects/${p}/request-access`, {}), 400, /already sent/);
  says(await invite(maintainer.email), 400, /already requested access/);
  const request = `/projects/${p}/join-requests/${asked.json.id}`;
  assert.equal((await stranger.call('PUT', request)).status, 403, 'a reader does not let in');
  assert.equal((await projectAdmin.call('PUT', request)).status, 202);
  const members = (await member.call('GET', `/projects/${p}/users`)).json as unknown as Json[];
  const entered = members.find(({ id }) => id === maintainer.id);
  assert.deepEqual([entered?.reason, (entered?.approver as Json | undefined)?.id], ['help', projectAdmin.id]);
  says(await member.call('DELETE', `/organizations/${o}/users/${member.id}`), 400, /least 1 member/);
});

test('manage: tokens are of persons, sessions or programs, and each does only its own', async (t) => {
  const { server, admin, as, p, guest } = await levels(t);
  const program = await admin('POST', '/tokens', { description: 'ci', scopes: ['projects:read'] });
  assert.deepEqual([program.status, program.json.type, program.json.scopes], [201, 'super', ['projects:read']]);
  const ci = as(program.json.token);
  const verified = (await ci('GET', '/tokens/verify')).json;
  assert.deepEqual([verified.type, 'user' in verified], ['super', false]);
  assert.equal((await ci('GET', `/projects/${p}`)).status, 200);
  for (const [method, url, body] of [
    ['PUT', `/projects/${p}`, { name: 'x' }],
    ['POST', `/projects/${p}/tokens`, {}],
    ['GET', '/organizations', undefined],
    ['GET', '/maintainers', undefined],
    ['GET', '/users', undefined],
    ['POST', '/users', { email: 'y@example.com' }],
    ['POST', '/tokens', { description: 'more' }],
    ['GET', '/tokens', undefined],
    ['POST', '/current-user/session-token', undefined],
    ['POST', '/projects', { name: 'x' }],
    ['GET', '/projects', undefined],
    ['GET', '/current-user/projects-invitations', undefined],
    ['POST', `/projects/${p}/join-project`, {}],
  ] as const)
    assert.equal((await ci(method, url, body)).status, 403, `${method} ${url}`);
  assert.equal((await guest.call('POST', '/tokens', { description: 'd', scopes: ['projects:read'] })).status, 403);
  assert.equal((await admin('POST', '/tokens', { description: 'd', scopes: ['all'] })).status, 400);

  const session = await guest.call('POST', '/current-user/session-token');
  assert.deepEqual([session.status, session.json.type], [201, 'session']);
  const inSession = as(session.json.token);
  assert.equal((await inSession('GET', `/projects/${p}`)).status, 200);
  assert.equal((await inSession('POST', '/tokens', { description: 'for ever' })).status, 403);

  const second = (await guest.call('POST', '/tokens', { description: 'laptop' })).json;
  const list = await guest.call('GET', '/tokens');
  assert.equal((list.json as unknown as Json[]).length, 2);
  assert.ok(!list.text.includes(second.token));
  assert.equal((await admin('DELETE', `/tokens/${second.id}`)).status, 404, "another's");
  assert.equal((await guest.call('DELETE', `/tokens/${second.id}`)).status, 204);
  assert.equal((await as(second.token)('GET', '/tokens/verify')).status, 401);
  assert.equal((await admin('DELETE', `/users/${guest.id}`)).status, 204);
  assert.equal((await guest.call('GET', '/tokens/verify')).status, 401);
  assert.equal((await inSession('GET', '/tokens/verify')).status, 401);
  assert.equal((await server.call('GET', '/manage/users', { token: null })).status, 401);
});

test('manage: our own call still answers the credentials of a new tenant', async (t) => {
  const { server, admin, guest } = await levels(t);
  const made = await admin('POST', '/projects', { name: 'Tenant' });
  assert.equal(made.status, 201);
  const { storageToken } = made.json.keboola as unknown as KeboolaServer['credentials']['keboola'];
  assert.equal((await server.call('GET', '/v2/storage/tokens/verify', { token: storageToken })).status, 200);
  assert.equal((await guest.call('POST', '/projects', { name: 'x' })).status, 403);
});
