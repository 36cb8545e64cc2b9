import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { Events } from '../../src/core/events/events.ts';
import { FileSweeper } from '../../src/core/files/file-sweeper.ts';
import { Files } from '../../src/core/files/files.ts';
import type { Actor } from '../../src/core/identity/actor.ts';
import { sql } from '../../src/db/sql.ts';
import type { Filestore } from '../../src/drivers/filestores/contract.ts';
import { openLocalFilestore } from '../../src/drivers/filestores/local/index.ts';
import { silentLogger } from '../../src/lib/logger.ts';
import { type TestDatabase, testDatabase } from './database.ts';

export type FileWorld = {
  db: TestDatabase;
  files: Files;
  store: Filestore;
  sweeper: FileSweeper;
  folder: string;
  actor: Actor;
  /** Master of one project; `stranger` of another. */
  stranger: Actor;
  clock: { now(): Date; forward(ms: number): void };
};

export async function fileWorld(t: TestContext, change: { withoutLocalPaths?: boolean } = {}): Promise<FileWorld> {
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-files-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const db = await testDatabase(t);
  const local = await openLocalFilestore({ directory: path.join(folder, 'store') });
  const store: Filestore = change.withoutLocalPaths ? withoutLocalPaths(local) : local;
  let shift = 0;
  const clock = {
    now: () => new Date(Date.now() + shift),
    forward(ms: number) {
      shift += ms;
    },
  };
  const events = new Events({ db });
  const parts = { db, filestore: store, events, clock };
  const files = new Files({ ...parts, signingKey: Buffer.alloc(32, 7), scratchDirectory: folder });
  const sweeper = new FileSweeper({ ...parts, log: silentLogger });
  return { db, files, store, sweeper, folder, clock, actor: await project(db, 1), stranger: await project(db, 2) };
}

function withoutLocalPaths(store: Filestore): Filestore {
  return {
    name: store.name,
    check: () => store.check(),
    put: (...given) => store.put(...given),
    compose: (...given) => store.compose(...given),
    get: (...given) => store.get(...given),
    head: (...given) => store.head(...given),
    list: (...given) => store.list(...given),
    delete: (...given) => store.delete(...given),
    deletePrefix: (...given) => store.deletePrefix(...given),
    adopt: (...given) => store.adopt(...given),
  };
}

async function project(db: TestDatabase, n: number): Promise<Actor> {
  const organization = await db.one<{ id: number }>(
    sql`insert into organizations (uuid, name, maintainer_id) select gen_random_uuid(), 'o', id from maintainers returning id`,
  );
  const row = await db.one<{ id: number }>(sql`
    insert into projects (organization_id, uuid, slug, name)
    values (${organization?.id}, gen_random_uuid(), ${`p${n}`}, 'p') returning id`);
  return {
    projectId: row?.id as number,
    branchId: 1,
    isDefaultBranch: true,
    storageBranchId: 1,
    token: {
      id: n * 100,
      description: `token ${n}`,
      isMaster: true,
      canManageBuckets: true,
      canManageTokens: true,
      canReadAllFiles: true,
      canPurgeTrash: true,
      canReadAllEvents: true,
      bucketPermissions: {},
      componentAccess: undefined,
      person: undefined,
    },
    runId: undefined,
    origin: { address: undefined, userAgent: undefined },
  };
}
