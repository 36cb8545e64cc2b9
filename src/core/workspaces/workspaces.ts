import type { Database, Transaction } from '../../db/database.ts';
import type { Provisioner, Provisioners, Space, SpaceTables } from '../../drivers/provisioners/contract.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { randomToken } from '../../lib/ids.ts';
import type { NewEvent } from '../events/event-model.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { assertAllowed, isReader } from '../identity/permissions.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { Turns } from './turns.ts';
import { workspaceErrors } from './workspace-errors.ts';
import type { NewWorkspace, Workspace, WorkspaceKey, WorkspaceLogin } from './workspace-model.ts';
import {
  type DueWorkspace,
  deleteWorkspace,
  findWorkspace,
  insertWorkspace,
  listDueWorkspaces,
  listUsedBackends,
  listWorkspaces,
  lockWorkspace,
  nextWorkspaceId,
  setWorkspacePassword,
  setWorkspaceState,
  touchWorkspace,
  type WorkspaceOwner,
  type WorkspaceRecord,
} from './workspace-store.ts';

/** A crash leaves a half-made workspace; until it is so old, its maker may still be at work. */
const UNFINISHED_MS = 5 * 60_000;
const MAX_ATTEMPTS = 5;
const PASSWORD_BYTES = 24;

export type WorkspaceView = { workspace: Workspace; login: WorkspaceLogin };
/** The way to what is in a workspace. */
export type OpenWorkspace = { workspace: Workspace; space: Space; schema: string; tables: SpaceTables };

/**
 * Databases that people and programs log in to by themselves.
 *
 * Backends know nothing of our transactions. So the row says first what is going to happen, then the backend does it
 * while the row is locked, then the row says that it is done. What a crash leaves in between is `creating` or
 * `deleting`, and the sweep finishes it: nothing is ever on a backend without a row.
 */
export class Workspaces {
  readonly #db: Database;
  readonly #events: Events;
  readonly #secrets: Secrets;
  readonly #provisioners: Provisioners;
  readonly #clock: Clock;
  readonly #turns = new Turns(4);

  constructor(parts: {
    db: Database;
    events: Events;
    secrets: Secrets;
    provisioners: Provisioners;
    clock?: Clock;
  }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#secrets = parts.secrets;
    this.#provisioners = parts.provisioners;
    this.#clock = parts.clock ?? systemClock;
  }

  /** Whether the backend is configured here. */
  has(backend: string): boolean {
    return Object.hasOwn(this.#provisioners, backend);
  }

  /** The token's own for that backend and purpose; made where there is none, or where its database is gone. */
  async ensure(actor: Actor, wanted: NewWorkspace): Promise<WorkspaceView> {
    assertAllowed(!isReader(actor));
    const provisioner = this.#provisioner(wanted.backend);
    // Before any row is locked: the first call starts a server.
    await provisioner.address();
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const intent = await this.#intend(actor, wanted, provisioner);
      const made = intent && (await this.#turns.take(() => this.#make(actor, intent.id, provisioner)));
      if (made) return this.#view(made, provisioner);
    }
    throw workspaceErrors.contended();
  }

  /** Not found as well when somebody has removed the database behind it. */
  async get(actor: Actor, key: WorkspaceKey): Promise<WorkspaceView & { isInUse: boolean }> {
    const provisioner = this.#provisioner(key.backend);
    const record = await this.#require(actor, key);
    const { exists, isInUse } = await provisioner.inspect(this.#space(record));
    if (!exists) throw workspaceErrors.notFound();
    return { ...(await this.#view(record, provisioner)), isInUse };
  }

  /** As its row says; the backend is not asked whether it is still there. */
  async describe(actor: Actor, key: WorkspaceKey): Promise<WorkspaceView> {
    const provisioner = this.#provisioner(key.backend);
    return this.#view(await this.#require(actor, key), provisioner);
  }

  /** For whoever moves rows in or out. */
  async open(actor: Actor, key: WorkspaceKey): Promise<OpenWorkspace> {
    const provisioner = this.#provisioner(key.backend);
    const record = await this.#require(actor, key);
    const { tables } = provisioner;
    if (!tables) throw workspaceErrors.tablesUnsupported(key.backend);
    const { schema, database } = provisioner.describe(record.name);
    return { workspace: record, space: this.#space(record), schema: schema ?? database, tables };
  }

  /** Ends its sessions and removes it with everything in it. Once asked for it happens, even if the server dies now. */
  async drop(actor: Actor, key: WorkspaceKey): Promise<void> {
    assertAllowed(!isReader(actor));
    const provisioner = this.#provisioner(key.backend);
    const { id } = await this.#require(actor, key);
    await this.#db.transaction(async (tx) => {
      const record = await lockWorkspace(tx, id);
      if (record?.state !== 'active') throw workspaceErrors.notFound();
      await setWorkspaceState(tx, id, 'deleting');
    });
    await this.#turns.take(() =>
      this.#db.transaction(async (tx) => {
        const record = await lockWorkspace(tx, id);
        // The sweep was quicker.
        if (!record) return;
        await this.#remove(tx, record, provisioner, (event) => eventFor(actor, event));
      }),
    );
  }

  /** Ends all sessions; the workspace stays. */
  async kill(actor: Actor, key: WorkspaceKey): Promise<void> {
    assertAllowed(!isReader(actor));
    const provisioner = this.#provisioner(key.backend);
    const record = await this.#require(actor, key);
    await provisioner.kill(record.name);
    await this.#db.transaction(async (tx) => {
      const event = eventOf(record, 'workspace.sessions-ended', 'Sessions were ended');
      await this.#events.append(tx, eventFor(actor, event));
    });
  }

  /** Its lifetime begins anew. */
  async extend(actor: Actor, key: WorkspaceKey): Promise<Workspace> {
    assertAllowed(!isReader(actor));
    this.#provisioner(key.backend);
    const { id } = await this.#require(actor, key);
    return this.#db.transaction(async (tx) => {
      const record = await lockWorkspace(tx, id);
      if (record?.state !== 'active') throw workspaceErrors.notFound();
      if (!record.canExtend) throw workspaceErrors.notExtendable();
      await touchWorkspace(tx, id, this.#clock.now());
      await this.#events.append(tx, eventFor(actor, eventOf(record, 'workspace.extended', 'Lifetime was extended')));
      return (await lockWorkspace(tx, id)) ?? record;
    });
  }

  /** All that the token sees, without their passwords. */
  async list(
    actor: Actor,
    filter: { backend: string; configuration?: { componentId: string; id: string } | undefined },
  ): Promise<WorkspaceView[]> {
    const provisioner = this.#provisioner(filter.backend);
    const records = await listWorkspaces(this.#db, ownerOf(actor), filter.backend, filter.configuration);
    return Promise.all(records.map((record) => this.#view(record, provisioner)));
  }

  /** A new password; the old one takes nobody in any more. Open sessions go on. */
  async resetPassword(actor: Actor, key: WorkspaceKey): Promise<WorkspaceView> {
    assertAllowed(!isReader(actor));
    const provisioner = this.#provisioner(key.backend);
    const { id } = await this.#require(actor, key);
    return this.#turns.take(() =>
      this.#db.transaction(async (tx) => {
        const record = await lockWorkspace(tx, id);
        if (record?.state !== 'active') throw workspaceErrors.notFound();
        const renewed = { ...record, passwordCipher: this.#newPassword(record.projectId) };
        await setWorkspacePassword(tx, id, renewed.passwordCipher);
        await this.#events.append(tx, eventFor(actor, eventOf(record, 'workspace.password-reset', 'New password')));
        // Last: a death after it and before the commit leaves a password that nobody knows, and the next reset mends it.
        await provisioner.ensure(this.#space(renewed));
        return this.#view(renewed, provisioner);
      }),
    );
  }

  /** Starts the servers that people may be about to connect to, without any call of theirs to us. */
  async startBackends(): Promise<void> {
    for (const backend of await listUsedBackends(this.#db)) await this.#provisioners[backend]?.address();
  }

  /** What must be removed. `everything`: no other server works, so what is half-made has no maker any more. */
  async listDue(options: { everything?: boolean } = {}): Promise<DueWorkspace[]> {
    const now = this.#clock.now();
    const due = await listDueWorkspaces(
      this.#db,
      now,
      new Date(now.getTime() + (options.everything ? UNFINISHED_MS : -UNFINISHED_MS)),
    );
    return due.filter(({ backend }) => this.has(backend));
  }

  /** Removes one of those. False when somebody is at work on it, or in it although its time is over. */
  async sweep({ id, backend, reason }: DueWorkspace): Promise<boolean> {
    const provisioner = this.#provisioner(backend);
    await provisioner.address();
    return this.#turns.take(() =>
      this.#db.transaction(async (tx) => {
        const record = await lockWorkspace(tx, id, { skipLocked: true });
        if (!record) return false;
        if (reason === 'unfinished' && record.state === 'active') return false;
        if (reason === 'expired') {
          const isOver = record.expiresAt !== undefined && record.expiresAt <= this.#clock.now();
          if (!isOver || (await provisioner.inspect(this.#space(record))).isInUse) return false;
        }
        await this.#remove(tx, record, provisioner, (event) => ({
          ...event,
          projectId: record.projectId,
          params: { reason },
        }));
        return true;
      }),
    );
  }

  /** The row that says what is going to be there. Committed before the backend hears of it. */
  async #intend(actor: Actor, wanted: NewWorkspace, provisioner: Provisioner): Promise<WorkspaceRecord | undefined> {
    const owner = ownerOf(actor);
    const known = await findWorkspace(this.#db, owner, wanted);
    if (known) return known;
    return this.#db.transaction(async (tx) => {
      const id = await nextWorkspaceId(tx);
      await insertWorkspace(tx, owner, {
        ...wanted,
        id,
        name: provisioner.nameFor(id, wanted.purpose),
        passwordCipher: this.#newPassword(actor.projectId),
      });
      return findWorkspace(tx, owner, wanted);
    });
  }

  /** Undefined when the row has gone meanwhile, or had to go first. */
  async #make(actor: Actor, id: number, provisioner: Provisioner): Promise<WorkspaceRecord | undefined> {
    return this.#db.transaction(async (tx) => {
      const record = await lockWorkspace(tx, id);
      if (!record) return undefined;
      if (record.state === 'deleting') {
        await this.#remove(tx, record, provisioner, (event) => eventFor(actor, event));
        return undefined;
      }
      if (record.state === 'active' && (await provisioner.inspect(this.#space(record))).exists) return record;
      await provisioner.ensure(this.#space(record));
      if (record.state === 'creating') {
        await setWorkspaceState(tx, id, 'active');
        await this.#events.append(tx, eventFor(actor, eventOf(record, 'workspace.created', 'Workspace was made')));
      }
      return { ...record, state: 'active' };
    });
  }

  /** The backend first: a row without a database is harmless, the reverse would be an orphan. */
  async #remove(
    tx: Transaction,
    record: WorkspaceRecord,
    provisioner: Provisioner,
    complete: (event: WorkspaceEvent) => NewEvent,
  ): Promise<void> {
    await provisioner.destroy(record.name);
    await deleteWorkspace(tx, record.id);
    // Nobody was ever told of one that was not finished.
    if (record.state === 'creating') return;
    await this.#events.append(tx, complete(eventOf(record, 'workspace.deleted', 'Workspace was dropped')));
  }

  async #require(actor: Actor, key: WorkspaceKey): Promise<WorkspaceRecord> {
    const record = await findWorkspace(this.#db, ownerOf(actor), key);
    if (record?.state !== 'active') throw workspaceErrors.notFound();
    return record;
  }

  #provisioner(backend: string): Provisioner {
    const found = this.has(backend) ? this.#provisioners[backend] : undefined;
    if (!found) throw workspaceErrors.backendNotFound(backend);
    return found;
  }

  async #view(record: WorkspaceRecord, provisioner: Provisioner): Promise<WorkspaceView> {
    const { state: _state, name, passwordCipher: _cipher, ...workspace } = record;
    const [address, names] = [await provisioner.address(), provisioner.describe(name)];
    return { workspace, login: { ...address, ...names, password: this.#password(record) } };
  }

  #space(record: WorkspaceRecord): Space {
    return { name: record.name, password: this.#password(record) };
  }

  #newPassword(projectId: number): string {
    return this.#secrets.encryptText(randomToken(PASSWORD_BYTES), { projectId });
  }

  #password(record: WorkspaceRecord): string {
    return this.#secrets.decryptText(record.passwordCipher, { projectId: record.projectId });
  }
}

type WorkspaceEvent = Parameters<typeof eventFor>[1];

function ownerOf({ projectId, branchId, token }: Actor): WorkspaceOwner {
  return { projectId, branchId, tokenId: token.id, seesProject: token.isMaster || token.canManageBuckets };
}

function eventOf(
  { id, backend, purpose }: WorkspaceRecord,
  name:
    | 'workspace.created'
    | 'workspace.deleted'
    | 'workspace.extended'
    | 'workspace.password-reset'
    | 'workspace.sessions-ended',
  message: string,
): WorkspaceEvent {
  return {
    name,
    component: 'storage',
    type: 'info',
    message: `${message}: ${backend}, ${purpose}`,
    objectType: 'workspace',
    objectId: String(id),
    objectName: `${backend}/${purpose}`,
  };
}
