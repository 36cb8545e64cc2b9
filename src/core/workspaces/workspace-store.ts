import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { NewWorkspace, Workspace, WorkspaceHolder, WorkspaceKey, WorkspaceState } from './workspace-model.ts';

type WorkspaceRow = {
  id: number;
  project_id: number;
  token_id: number;
  backend: string;
  purpose: string;
  state: WorkspaceState;
  name: string;
  password: string;
  lifetime_seconds: number | null;
  created_at: Date;
  touched_at: Date;
  holder: WorkspaceHolder;
  component_id: string | null;
  configuration_id: string | null;
  token_description: string;
};

/** Who looks. `seesProject`: also at what belongs to the project, in the branch. */
export type WorkspaceOwner = { projectId: number; branchId: number; tokenId: number; seesProject: boolean };

export type WorkspaceRecord = Workspace & { state: WorkspaceState; name: string; passwordCipher: string };

const COLUMNS = sql`w.id, w.project_id, w.token_id, w.backend, w.purpose, w.state, w.name, w.password,
  w.lifetime_seconds, w.created_at, w.touched_at, w.holder, w.component_id, w.configuration_id,
  coalesce((select t.description from tokens t where t.id = w.token_id), '') as token_description`;

export async function nextWorkspaceId(db: Db): Promise<number> {
  const row = await db.one<{ id: number }>(sql`select nextval('object_id') as id`);
  if (!row) throw new Error('sequence gave no value');
  return row.id;
}

/** The intent to make one. The row of the same token, backend and purpose stays where there is one already. */
export async function insertWorkspace(
  db: Db,
  owner: WorkspaceOwner,
  row: NewWorkspace & { id: number; name: string; passwordCipher: string },
): Promise<void> {
  const { holder = 'token', configuration } = row;
  await db.query(sql`
    insert into workspaces (id, project_id, token_id, backend, purpose, state, name, password, lifetime_seconds,
      holder, branch_id, component_id, configuration_id)
    values (${row.id}, ${owner.projectId}, ${owner.tokenId}, ${row.backend}, ${row.purpose}, 'creating', ${row.name},
      ${row.passwordCipher}, ${row.lifetimeSeconds ?? null}, ${holder}, ${holder === 'project' ? owner.branchId : null},
      ${configuration?.componentId ?? null}, ${configuration?.id ?? null})
    on conflict on constraint workspaces_one_per_purpose do nothing`);
}

/** In whatever state. */
export async function findWorkspace(
  db: Db,
  owner: WorkspaceOwner,
  key: WorkspaceKey,
): Promise<WorkspaceRecord | undefined> {
  const by = 'id' in key ? sql`w.id = ${key.id}` : sql`w.purpose = ${key.purpose} and w.token_id = ${owner.tokenId}`;
  const whose =
    'id' in key && key.among === 'visible'
      ? visibleTo(owner)
      : sql`w.project_id = ${owner.projectId} and w.token_id = ${owner.tokenId}`;
  // By its id a token finds as its own only what is held by it; what it has made for the project belongs to that.
  const held = 'id' in key && key.among !== 'visible' ? sql`w.holder = 'token'` : sql`true`;
  const row = await db.one<WorkspaceRow>(sql`
    select ${COLUMNS} from workspaces w where ${whose} and ${held} and w.backend = ${key.backend} and ${by}`);
  return row && toRecord(row);
}

/** The finished ones that the token sees, oldest first. */
export async function listWorkspaces(
  db: Db,
  owner: WorkspaceOwner,
  backend: string,
  configuration: { componentId: string; id: string } | undefined,
): Promise<WorkspaceRecord[]> {
  const forIt = configuration
    ? sql`w.component_id = ${configuration.componentId} and w.configuration_id = ${configuration.id}`
    : sql`true`;
  const rows = await db.query<WorkspaceRow>(sql`
    select ${COLUMNS} from workspaces w
    where ${visibleTo(owner)} and w.backend = ${backend} and w.state = 'active' and ${forIt}
    order by w.id`);
  return rows.map(toRecord);
}

function visibleTo(owner: WorkspaceOwner) {
  const ofBranch = sql`w.holder = 'project' and w.branch_id = ${owner.branchId}`;
  const own = sql`w.token_id = ${owner.tokenId}`;
  return owner.seesProject
    ? sql`w.project_id = ${owner.projectId} and ((${ofBranch}) or (w.holder = 'token' and ${own}))`
    : sql`w.project_id = ${owner.projectId} and ${own} and (w.holder = 'token' or (${ofBranch}))`;
}

/** Whoever holds the lock is the only one who has the backend act on the workspace. */
export async function lockWorkspace(
  db: Db,
  id: number,
  options: { skipLocked?: boolean } = {},
): Promise<WorkspaceRecord | undefined> {
  const wait = options.skipLocked ? sql`skip locked` : sql.empty;
  const row = await db.one<WorkspaceRow>(
    sql`select ${COLUMNS} from workspaces w where w.id = ${id} for update ${wait}`,
  );
  return row && toRecord(row);
}

export async function setWorkspaceState(db: Db, id: number, state: WorkspaceState): Promise<void> {
  await db.query(sql`update workspaces set state = ${state} where id = ${id}`);
}

export async function setWorkspacePassword(db: Db, id: number, passwordCipher: string): Promise<void> {
  await db.query(sql`update workspaces set password = ${passwordCipher} where id = ${id}`);
}

export async function touchWorkspace(db: Db, id: number, now: Date): Promise<void> {
  await db.query(sql`update workspaces set touched_at = ${now} where id = ${id}`);
}

export async function deleteWorkspace(db: Db, id: number): Promise<void> {
  await db.query(sql`delete from workspaces where id = ${id}`);
}

export type DueWorkspace = {
  id: number;
  backend: string;
  reason: 'unfinished' | 'expired' | 'token-gone' | 'project-gone' | 'branch-gone';
};

/** What must go: half-made and half-dropped ones, those whose time is over, and those whose token or branch is gone. */
export async function listDueWorkspaces(
  db: Db,
  now: Date,
  /** Half-made ones that are younger may be on their way. */
  unfinishedBefore: Date,
): Promise<DueWorkspace[]> {
  return db.query<DueWorkspace>(sql`
    select * from (
      select w.id, w.backend,
        case
          when w.state = 'deleting' or (w.state = 'creating' and w.created_at <= ${unfinishedBefore}) then 'unfinished'
          when w.state = 'active' and w.holder = 'token'
            and (t.id is null or t.disabled_at is not null or t.expires_at <= ${now}) then 'token-gone'
          when w.state = 'active' and p.deleted_at is not null then 'project-gone'
          when w.state = 'active' and b.deleted_at is not null then 'branch-gone'
          when w.state = 'active' and w.touched_at + w.lifetime_seconds * interval '1 second' <= ${now} then 'expired'
        end as reason
      from workspaces w
      left join tokens t on t.id = w.token_id and t.project_id = w.project_id
      left join projects p on p.id = w.project_id
      left join branches b on b.id = w.branch_id
    ) due
    where reason is not null
    order by id`);
}

/** The backends that people may be connected to. */
export async function listUsedBackends(db: Db): Promise<string[]> {
  const rows = await db.query<{ backend: string }>(sql`select distinct backend from workspaces`);
  return rows.map(({ backend }) => backend);
}

function toRecord(row: WorkspaceRow): WorkspaceRecord {
  const lifetimeMs = row.lifetime_seconds === null ? undefined : row.lifetime_seconds * 1000;
  return {
    id: row.id,
    projectId: row.project_id,
    tokenId: row.token_id,
    backend: row.backend,
    purpose: row.purpose,
    state: row.state,
    name: row.name,
    passwordCipher: row.password,
    createdAt: row.created_at,
    touchedAt: row.touched_at,
    expiresAt: lifetimeMs === undefined ? undefined : new Date(row.touched_at.getTime() + lifetimeMs),
    canExtend: lifetimeMs !== undefined,
    holder: row.holder,
    configuration:
      row.component_id === null || row.configuration_id === null
        ? undefined
        : { componentId: row.component_id, id: row.configuration_id },
    tokenDescription: row.token_description,
  };
}
