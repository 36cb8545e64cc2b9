import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Actor, ProjectRole } from './actor.ts';
import * as rules from './permissions.ts';

function actor(token: Partial<Actor['token']>): Actor {
  return {
    projectId: 1,
    branchId: 10,
    isDefaultBranch: true,
    storageBranchId: 1,
    token: {
      id: 5,
      description: 't',
      isMaster: false,
      canManageBuckets: false,
      canManageTokens: false,
      canReadAllFiles: false,
      canPurgeTrash: false,
      canReadAllEvents: false,
      bucketPermissions: {},
      componentAccess: undefined,
      person: undefined,
      ...token,
    },
    runId: undefined,
    origin: { address: undefined, userAgent: undefined },
  };
}

const all = { canManageBuckets: true, canManageTokens: true, canReadAllFiles: true, canPurgeTrash: true };
const master = (role: ProjectRole) =>
  actor({ ...all, isMaster: true, canReadAllEvents: true, person: { id: 1, name: 'n', email: 'e', role } });

const actors = {
  admin: master('admin'),
  guest: master('guest'),
  readOnly: master('readOnly'),
  share: master('share'),
  buckets: actor({ canManageBuckets: true }),
  reads: actor({ bucketPermissions: { 'in.c-x': 'read' } }),
  writes: actor({ bucketPermissions: { 'in.c-x': 'write' } }),
  component: actor({ componentAccess: ['ex-1'] }),
  bare: actor({}),
};
type Name = keyof typeof actors;

const onX =
  (rule: (actor: Actor, id: string) => boolean, id: string) =>
  (who: Actor): boolean =>
    rule(who, id);

/** Who may; everybody else may not. */
const table: [string, (actor: Actor) => boolean, Name[]][] = [
  [
    'read bucket',
    onX(rules.canReadBucket, 'in.c-x'),
    ['admin', 'guest', 'readOnly', 'share', 'buckets', 'reads', 'writes'],
  ],
  ['write bucket', onX(rules.canWriteBucket, 'in.c-x'), ['admin', 'guest', 'buckets', 'writes']],
  ['manage bucket', onX(rules.canManageBucket, 'in.c-x'), ['admin', 'guest', 'buckets']],
  ['read another bucket', onX(rules.canReadBucket, 'in.c-y'), ['admin', 'guest', 'readOnly', 'share', 'buckets']],
  [
    'a bucket named like a member of objects',
    onX(rules.canReadBucket, 'constructor'),
    ['admin', 'guest', 'readOnly', 'share', 'buckets'],
  ],
  ['create buckets', rules.canCreateBucket, ['admin', 'guest', 'buckets']],
  ['see all buckets', rules.canReadAllBuckets, ['admin', 'guest', 'readOnly', 'share', 'buckets']],
  ['list components', rules.canListComponents, ['admin', 'guest', 'readOnly', 'share', 'buckets', 'component']],
  ['read its component', onX(rules.canReadComponent, 'ex-1'), ['admin', 'guest', 'readOnly', 'buckets', 'component']],
  ['read another component', onX(rules.canReadComponent, 'ex-2'), ['admin', 'guest', 'readOnly', 'buckets']],
  ['configure its component', onX(rules.canConfigureComponent, 'ex-1'), ['admin', 'guest', 'buckets', 'component']],
  ['run its component', onX(rules.canRunComponent, 'ex-1'), ['admin', 'guest', 'buckets', 'component']],
  ['run another component', onX(rules.canRunComponent, 'ex-2'), ['admin', 'guest', 'buckets']],
  ['manage tokens', rules.canManageTokens, ['admin']],
  ['create tokens', rules.canCreateTokens, ['admin', 'guest']],
  ['manage branches', rules.canManageBranches, ['admin', 'guest']],
  ['read all files', rules.canReadAllFiles, ['admin', 'guest', 'readOnly', 'share']],
  ['write files', rules.canWriteFiles, ['admin', 'guest', 'buckets', 'reads', 'writes', 'component', 'bare']],
  ['purge trash', rules.canPurgeTrash, ['admin', 'guest']],
];

for (const [what, rule, allowed] of table) {
  test(`may ${what}: exactly ${allowed.join(', ')}`, () => {
    const may = (Object.keys(actors) as Name[]).filter((name) => rule(actors[name]));
    assert.deepEqual(may, allowed);
  });
}

test('storage jobs show to their maker and to masters, component jobs to the project, none to other projects', () => {
  const job = (lane: string, tokenId: number, projectId = 1) => ({ projectId, lane, token: { id: tokenId } });
  assert.ok(rules.canReadJob(actors.bare, job('storage', 5)));
  assert.ok(!rules.canReadJob(actors.bare, job('storage', 6)));
  assert.ok(rules.canReadJob(actors.bare, job('component', 6)));
  assert.ok(rules.canReadJob(actors.admin, job('storage', 6)));
  assert.ok(!rules.canReadJob(actors.admin, job('component', 5, 2)));
});
