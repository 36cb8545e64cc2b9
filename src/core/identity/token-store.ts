import type { Db } from '../../db/database.ts';
import { inListOrder, keysetToSql } from '../../db/filter-sql.ts';
import { type Sql, sql } from '../../db/sql.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import type { BucketRight, ProjectRole } from './actor.ts';
import type { Token, TokenKind, TokenRights } from './token-model.ts';

type TokenRow = {
  id: number;
  kind: TokenKind;
  project_id: number | null;
  public_id: string | null;
  description: string;
  is_master: boolean;
  rights: TokenRights;
  bucket_permissions: Record<string, BucketRight>;
  component_access: string[] | null;
  person_id: number | null;
  person_name: string | null;
  person_email: string | null;
  person_role: ProjectRole | null;
  is_super_admin: boolean | null;
  creator_token_id: number | null;
  creator_description: string | null;
  created_at: Date;
  refreshed_at: Date;
  expires_at: Date | null;
  disabled_at: Date | null;
  secret_cipher: string | null;
  default_branch_id: number | null;
  scopes: string[] | null;
  is_session: boolean;
  member_expires_at: Date | null;
  is_organization_member: boolean;
  person_features: string[] | null;
  project_disabled: { reason: string; estimatedEndTime?: string } | null;
  project_expires_at: Date | null;
};

/** A token with what authentication needs besides. */
export type KnownToken = Token & {
  defaultBranchId: number | undefined;
  isSuperAdmin: boolean;
  secretCipher: string | undefined;
  /** False for a person's token in a project that he is not in any more. */
  isMember: boolean;
  membershipExpiresAt: Date | undefined;
  projectDisabled: { reason: string; estimatedEndTime?: string } | undefined;
  projectExpiresAt: Date | undefined;
};

const SELECT = sql`
  select t.id, t.kind, t.project_id, t.public_id, t.description, t.is_master, t.rights, t.bucket_permissions,
    t.component_access, t.person_id, p.name as person_name, p.email as person_email, m.role as person_role,
    p.is_super_admin, t.creator_token_id, c.description as creator_description, t.created_at, t.refreshed_at,
    t.expires_at, t.disabled_at, t.secret_cipher, b.id as default_branch_id, t.scopes, t.is_session,
    m.expires_at as member_expires_at, om.person_id is not null as is_organization_member,
    p.features as person_features, pr.disabled as project_disabled, pr.expires_at as project_expires_at
  from tokens t
  left join persons p on p.id = t.person_id
  left join project_members m on m.project_id = t.project_id and m.person_id = t.person_id
  left join tokens c on c.id = t.creator_token_id
  left join projects pr on pr.id = t.project_id
  left join organization_members om on om.organization_id = pr.organization_id and om.person_id = t.person_id
  left join branches b on b.project_id = t.project_id and b.is_default`;

/** By the hash of the secret, in projects that still exist. */
export async function findTokenBySecret(
  db: Db,
  kinds: readonly TokenKind[],
  secretHash: Buffer,
): Promise<KnownToken | undefined> {
  const row = await db.one<TokenRow>(
    sql`${SELECT} where t.secret_hash = ${secretHash} and t.kind = any(${kinds}) and pr.deleted_at is null`,
  );
  return row && toToken(row);
}

export async function findToken(
  db: Db,
  projectId: number,
  id: number,
  kinds: readonly TokenKind[] = ['storage'],
): Promise<KnownToken | undefined> {
  const row = await db.one<TokenRow>(
    sql`${SELECT} where t.project_id = ${projectId} and t.id = ${id} and t.kind = any(${kinds}) and pr.deleted_at is null`,
  );
  return row && toToken(row);
}

export async function listTokens(db: Db, projectId: number): Promise<KnownToken[]> {
  const rows = await db.query<TokenRow>(
    sql`${SELECT} where t.project_id = ${projectId} and t.kind = 'storage' order by t.id`,
  );
  return rows.map(toToken);
}

export async function listKeys(db: Db, projectId: number, page: KeysetPage<number>): Promise<KnownToken[]> {
  const keyset = keysetToSql(sql`t.id`, page);
  const where = [sql`t.project_id = ${projectId}`, sql`t.kind = 'api-key'`, ...keyset.where];
  const rows = await db.query<TokenRow>(
    sql`${SELECT} where ${sql.join(where, sql` and `)} order by ${keyset.order} limit ${page.limit}`,
  );
  return inListOrder(rows.map(toToken), page);
}

/** The account keys of a person in projects that are still there, the oldest first. */
export async function listAccountKeys(db: Db, personId: number): Promise<KnownToken[]> {
  return (
    await db.query<TokenRow>(sql`
      ${SELECT} where t.person_id = ${personId} and t.kind = 'account-key' and t.project_id is not null
        and pr.deleted_at is null order by t.id`)
  ).map(toToken);
}

export type TokenRecord = {
  id: number;
  kind: TokenKind;
  projectId?: number | undefined;
  personId?: number | undefined;
  secretHash: Buffer;
  secretCipher?: string | undefined;
  publicId?: string | undefined;
  description: string;
  isMaster?: boolean;
  rights?: TokenRights;
  bucketPermissions?: Record<string, BucketRight>;
  componentAccess?: string[] | undefined;
  creatorTokenId?: number | undefined;
  expiresAt?: Date | undefined;
  scopes?: string[] | undefined;
  isSession?: boolean | undefined;
};

/** Taken before the insert, because the id is part of the secret's text. */
export async function nextTokenId(db: Db): Promise<number> {
  const row = await db.one<{ id: number }>(sql`select nextval(pg_get_serial_sequence('tokens', 'id')) as id`);
  if (!row) throw new Error('sequence gave no value');
  return row.id;
}

export async function insertToken(db: Db, token: TokenRecord): Promise<void> {
  await db.query(sql`
    insert into tokens (id, kind, project_id, person_id, secret_hash, public_id, description, is_master, rights,
      bucket_permissions, component_access, creator_token_id, expires_at, secret_cipher, scopes, is_session)
    overriding system value
    values (${token.id}, ${token.kind}, ${token.projectId ?? null}, ${token.personId ?? null}, ${token.secretHash},
      ${token.publicId ?? null}, ${token.description}, ${token.isMaster ?? false}, ${JSON.stringify(token.rights ?? {})},
      ${JSON.stringify(token.bucketPermissions ?? {})}, ${token.componentAccess ?? null},
      ${token.creatorTokenId ?? null}, ${token.expiresAt ?? null}, ${token.secretCipher ?? null}, ${token.scopes ?? null}, ${token.isSession ?? false})`);
}

export async function updateToken(
  db: Db,
  id: number,
  change: {
    description?: string | undefined;
    rights?: TokenRights | undefined;
    bucketPermissions?: Record<string, BucketRight> | undefined;
    componentAccess?: string[] | undefined;
    secretHash?: Buffer | undefined;
    /** Goes with the hash. */
    secretCipher?: string | undefined;
  },
): Promise<void> {
  const sets: Sql[] = [];
  if (change.description !== undefined) sets.push(sql`description = ${change.description}`);
  if (change.rights !== undefined) sets.push(sql`rights = rights || ${JSON.stringify(change.rights)}::jsonb`);
  if (change.bucketPermissions !== undefined)
    sets.push(sql`bucket_permissions = ${JSON.stringify(change.bucketPermissions)}`);
  if (change.componentAccess !== undefined) sets.push(sql`component_access = ${change.componentAccess}`);
  if (change.secretHash !== undefined)
    sets.push(
      sql`secret_hash = ${change.secretHash}, secret_cipher = ${change.secretCipher ?? null}, refreshed_at = now()`,
    );
  if (sets.length > 0) await db.query(sql`update tokens set ${sql.join(sets)} where id = ${id}`);
}

export async function deleteToken(db: Db, id: number): Promise<void> {
  await db.query(sql`delete from tokens where id = ${id}`);
}

/** Some trigger that runs with the token. */
export async function findTriggerOfToken(
  db: Db,
  projectId: number,
  tokenId: number,
): Promise<{ componentId: string; configurationId: string } | undefined> {
  return db.one(sql`
    select component_id as "componentId", configuration_id as "configurationId" from triggers
    where project_id = ${projectId} and run_with_token_id = ${tokenId} order by id limit 1`);
}

export async function deleteExpiredBearers(db: Db, applicationId: number, now: Date): Promise<void> {
  await db.query(
    sql`delete from tokens where kind = 'bearer' and creator_token_id = ${applicationId} and expires_at <= ${now}`,
  );
}

export async function deleteBearer(db: Db, bearer: { id: number; creatorTokenId: number }): Promise<void> {
  await db.query(sql`
    delete from tokens
    where id = ${bearer.id} and kind = 'bearer' and creator_token_id = ${bearer.creatorTokenId}`);
}

export async function deleteExpiredSessions(db: Db, personId: number, now: Date): Promise<void> {
  await db.query(sql`delete from tokens where person_id = ${personId} and is_session and expires_at <= ${now}`);
}

/** The person's own master token in a project, if he has had one. */
export async function findMaster(db: Db, projectId: number, personId: number): Promise<KnownToken | undefined> {
  const [row] = await db.query<TokenRow>(sql`
    ${SELECT} where t.project_id = ${projectId} and t.person_id = ${personId} and t.kind = 'storage' and t.is_master
    order by t.id limit 1`);
  return row && toToken(row);
}

export type CredentialOwner = { projectId: number } | { personId: number };

/** The credentials of one kind of a project, or of a person beyond all projects; the oldest first, masters before. */
export async function listCredentials(db: Db, owner: CredentialOwner, kind: TokenKind): Promise<KnownToken[]> {
  const by =
    'projectId' in owner
      ? sql`t.project_id = ${owner.projectId}`
      : sql`t.project_id is null and t.person_id = ${owner.personId}`;
  return (
    await db.query<TokenRow>(sql`${SELECT} where ${by} and t.kind = ${kind} order by t.is_master desc, t.id`)
  ).map(toToken);
}

/** Tells every process that what it remembers of tokens may be wrong. */
export async function notifyTokens(db: Db): Promise<void> {
  await db.query(sql`select pg_notify('tokens', '')`);
}

function toToken(row: TokenRow): KnownToken {
  const person =
    row.person_id === null
      ? undefined
      : {
          id: row.person_id,
          name: row.person_name ?? '',
          email: row.person_email ?? '',
          role: row.person_role ?? 'guest',
          isOrganizationMember: row.is_organization_member,
          features: row.person_features ?? [],
        };
  return {
    id: row.id,
    kind: row.kind,
    projectId: row.project_id ?? undefined,
    publicId: row.public_id ?? undefined,
    description: row.description,
    isMaster: row.is_master,
    rights: row.rights,
    bucketPermissions: row.bucket_permissions,
    componentAccess: row.component_access ?? undefined,
    person,
    creator:
      row.creator_token_id === null
        ? undefined
        : { id: row.creator_token_id, description: row.creator_description ?? '' },
    createdAt: row.created_at,
    refreshedAt: row.refreshed_at,
    expiresAt: row.expires_at ?? undefined,
    isDisabled: row.disabled_at !== null,
    defaultBranchId: row.default_branch_id ?? undefined,
    isSuperAdmin: row.is_super_admin ?? false,
    secretCipher: row.secret_cipher ?? undefined,
    scopes: row.scopes ?? undefined,
    isSession: row.is_session,
    isMember: row.project_id === null || row.person_id === null || row.person_role !== null,
    membershipExpiresAt: row.member_expires_at ?? undefined,
    projectDisabled: row.project_disabled ?? undefined,
    projectExpiresAt: row.project_expires_at ?? undefined,
  };
}

/** Whether a live branch of that id is in the project, and whether it is the default one. */
export async function findBranch(
  db: Db,
  projectId: number,
  branch: number | 'default',
): Promise<{ id: number; isDefault: boolean } | undefined> {
  const by = branch === 'default' ? sql`is_default` : sql`id = ${branch}`;
  return db.one<{ id: number; isDefault: boolean }>(sql`
    select id, is_default as "isDefault" from branches
    where project_id = ${projectId} and deleted_at is null and ${by}`);
}
