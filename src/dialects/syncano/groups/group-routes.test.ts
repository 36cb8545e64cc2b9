import assert from 'node:assert/strict';
import { test } from 'node:test';
import { syncanoServer } from '../../../../test/support/syncano.ts';

type Listing<T> = { objects: T[] };
type Group = { id: number; name: string | null; label: string; description: string; links: Record<string, string> };
type User = { id: number; user_key: string; groups: Group[] };

test('groups are made, changed, listed, and forgotten by what belonged to them', async (t) => {
  const { call, instance } = await syncanoServer(t);
  const made = await call<Group>('POST', 'groups/', { label: 'staff' });
  const self = `${instance}groups/${made.body.id}/`;
  assert.equal(made.status, 201, made.text);
  const { id } = made.body;
  assert.deepEqual(made.body, {
    id,
    name: null,
    label: 'staff',
    description: '',
    links: { self, users: `${self}users/` },
  });
  assert.equal((await call('POST', 'groups/', { label: 'x', name: 'Team' })).status, 201);
  assert.deepEqual((await call('POST', 'groups/', { label: 'y', name: 'team' })).body, {
    name: ['This field must be unique.'],
  });
  assert.deepEqual((await call('POST', 'groups/', {})).body, { label: ['This field is required.'] });
  const changed = await call<Group>('PATCH', `groups/${id}/`, { description: 'd' });
  assert.deepEqual([changed.body.label, changed.body.description], ['staff', 'd']);
  assert.equal((await call<Listing<Group>>('GET', 'groups/?page_size=1')).body.objects.length, 1);

  await call('POST', 'classes/', { name: 'note', group: id, schema: [{ name: 'text', type: 'string' }] });
  const note = await call<{ id: number; group: number; revision: number; links: Record<string, string> }>(
    'POST',
    'classes/note/objects/',
    { text: '"group": 7', group: id },
  );
  assert.deepEqual([note.body.group, note.body.links.group], [id, self]);
  assert.deepEqual((await call('POST', 'classes/note/objects/', { group: 987 })).body, {
    group: ['Invalid pk "987" - object does not exist.'],
  });
  assert.equal((await call('PATCH', 'classes/note/', { group: 987 })).status, 400);
  assert.equal((await call('DELETE', `groups/${id}/`)).status, 204);
  assert.equal((await call('GET', `groups/${id}/`)).status, 404);
  const after = await call<{ group: null; revision: number; text: string }>(
    'GET',
    `classes/note/objects/${note.body.id}/`,
  );
  assert.deepEqual([after.body.group, after.body.revision, after.body.text], [null, 2, '"group": 7']);
  assert.equal((await call<{ group: null }>('GET', 'classes/note/')).body.group, null);
});

test('members of a group see its objects, as far as the group may; membership works from both ends', async (t) => {
  const { call, server } = await syncanoServer(t);
  const key = { 'x-api-key': await server.issueApiKey({}) };
  const group = (await call<Group>('POST', 'groups/', { label: 'staff' })).body.id;
  const user = async (username: string) => (await call<User>('POST', 'users/', { username, password: 'p' })).body;
  const [jane, joe] = [await user('jane'), await user('joe')];
  const as = ({ user_key }: User) => ({ ...key, 'x-user-key': user_key });
  await call('POST', 'classes/', {
    name: 'note',
    group,
    group_permissions: 'create_objects',
    other_permissions: 'none',
    schema: [{ name: 'text', type: 'string' }],
  });
  const shared = await call<{ id: number }>('POST', 'classes/note/objects/', {
    text: 'shared',
    group,
    group_permissions: 'write',
  });
  await call('POST', 'classes/note/objects/', { text: 'hidden' });
  assert.equal((await call('GET', 'classes/note/objects/', undefined, as(jane))).status, 403);

  const added = await call<{ user: User; links: { self: string } }>('POST', `groups/${group}/users/`, {
    user: jane.id,
  });
  assert.deepEqual([added.status, added.body.user.id, added.body.user.groups[0]?.label], [201, jane.id, 'staff']);
  assert.deepEqual((await call('POST', `groups/${group}/users/`, { user: jane.id })).body, {
    detail: 'User is already a part of that group.',
  });
  assert.equal((await call('POST', `groups/${group}/users/`, { user: 987 })).status, 400);
  assert.deepEqual((await call('GET', 'groups/987/users/')).body, { detail: 'Group was not found.' });
  const seen = await call<Listing<{ text: string }>>('GET', 'classes/note/objects/', undefined, as(jane));
  assert.deepEqual(
    seen.body.objects.map(({ text }) => text),
    ['shared'],
  );
  const path = `classes/note/objects/${shared.body.id}/`;
  assert.equal((await call('PATCH', path, { text: 'x' }, as(jane))).status, 200);
  assert.equal((await call('DELETE', path, undefined, as(jane))).status, 403);
  assert.equal((await call('POST', 'classes/note/objects/', { text: 'new', group }, as(jane))).status, 201);
  assert.equal((await call('GET', 'classes/note/objects/', undefined, as(joe))).status, 403);
  await call('PATCH', 'classes/note/', { other_permissions: 'create_objects' });
  assert.deepEqual((await call('POST', 'classes/note/objects/', { group }, as(joe))).body, {
    group: ['Invalid group specified.'],
  });

  assert.equal((await call<Listing<Group>>('GET', 'groups/', undefined, as(jane))).body.objects.length, 1);
  assert.equal((await call<Listing<Group>>('GET', 'groups/', undefined, as(joe))).body.objects.length, 0);
  assert.equal((await call('GET', `groups/${group}/`, undefined, as(joe))).status, 404);
  assert.equal((await call('GET', 'groups/', undefined, key)).status, 403);
  assert.equal((await call('POST', 'groups/', { label: 'x' }, as(jane))).status, 403);
  assert.equal((await call('POST', `groups/${group}/users/`, { user: joe.id }, as(joe))).status, 404);
  assert.equal((await call('POST', `users/${joe.id}/groups/`, { group }, as(joe))).status, 403);
  const maker = { 'x-api-key': await server.issueApiKey({ canCreateGroups: true }) };
  assert.equal((await call('POST', 'groups/', { label: 'x' }, maker)).status, 201);

  const other = await call<{ group: Group }>('POST', `users/${joe.id}/groups/`, { group });
  assert.deepEqual([other.status, other.body.group.id], [201, group], other.text);
  const members = await call<Listing<{ user: User }>>('GET', `groups/${group}/users/`);
  assert.deepEqual(
    members.body.objects.map(({ user: one }) => one.id),
    [jane.id, joe.id],
  );
  assert.equal((await call<Listing<object>>('GET', `users/${joe.id}/groups/`)).body.objects.length, 1);
  assert.equal((await call('GET', `groups/${group}/users/${joe.id}/`)).status, 200);
  assert.equal((await call('GET', `users/${joe.id}/groups/${group}/`)).status, 200);
  assert.equal((await call('DELETE', `users/${joe.id}/groups/${group}/`)).status, 204);
  assert.equal((await call('GET', `groups/${group}/users/${joe.id}/`)).status, 404);
  assert.equal((await call('DELETE', `groups/${group}/users/${jane.id}/`)).status, 204);
  const gone = await call<Listing<object>>('GET', 'classes/note/objects/', undefined, as(jane));
  assert.equal(gone.body.objects.length, 1, 'the one it owns, and no longer what the group may see');
});

test('a user is in 32 groups at most', async (t) => {
  const { call } = await syncanoServer(t);
  const { body } = await call<User>('POST', 'users/', { username: 'jane', password: 'p' });
  const groups = await Promise.all(
    Array.from({ length: 33 }, async (_, i) => (await call<Group>('POST', 'groups/', { label: `g${i}` })).body.id),
  );
  const answers = await Promise.all(groups.map((group) => call('POST', `users/${body.id}/groups/`, { group })));
  assert.deepEqual(answers.filter(({ status }) => status === 201).length, 32);
  assert.deepEqual(answers.find(({ status }) => status === 400)?.body, { detail: "User's group count exceeded (32)." });
});
