import { hash, randomBytes } from 'node:crypto';
import type { Database, Transaction } from '../../db/database.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import { errors } from '../errors.ts';
import type { EventName } from '../events/event-names.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Actor } from '../identity/actor.ts';
import { hashPassword, verifyPassword } from '../identity/password.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { PROFILE_CLASS } from './class-model.ts';
import { listClasses } from './class-store.ts';
import type { Classes } from './classes.ts';
import {
  countEndUsers,
  deleteEndUser,
  type EndUser,
  type EndUserRecord,
  findEndUser,
  insertEndUser,
  listEndUsers,
  nextEndUserId,
  notifyEndUsers,
  updateEndUser,
} from './end-user-store.ts';
import { type Group, listGroups } from './group-store.ts';
import { canCreateUsers, canManageObjects, canReadAllObjects } from './object-access.ts';
import { type FieldProblems, objectErrors } from './object-errors.ts';
import type { ObjectDocument } from './object-model.ts';
import { deleteObjectsOf, insertObjects } from './object-store.ts';
import type { Objects } from './objects.ts';

const MAX_NAME = 64;
const MAX_PASSWORD = 128;
const KEPT_MS = 5000;
const MAX_KEPT = 10_000;

/** An end user as the actor may see it. */
export type EndUserView = {
  id: number;
  username: string;
  profile: ObjectDocument | undefined;
  groups: Group[];
  /** Only for those who may act as the user. */
  key: string | undefined;
};

/** The people who use the project's own application: they log in with a name and carry a key of their own. */
export class EndUsers {
  readonly #db: Database;
  readonly #events: Events;
  readonly #secrets: Secrets;
  readonly #classes: Classes;
  readonly #objects: Objects;
  readonly #known = new Map<string, { user: EndUser; untilMs: number }>();
  #generation = 0;
  #listening = false;

  constructor(parts: { db: Database; events: Events; secrets: Secrets; classes: Classes; objects: Objects }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#secrets = parts.secrets;
    this.#classes = parts.classes;
    this.#objects = parts.objects;
  }

  /** The same actor on behalf of the user with that key; unchanged when nobody has it. */
  async actAs(actor: Actor, key: string): Promise<Actor> {
    const user = await this.#byKey(actor.projectId, key);
    return user ? { ...actor, endUser: { id: user.id, username: user.username, groupIds: user.groupIds } } : actor;
  }

  /** The end user on whose behalf the actor calls. */
  async self(actor: Actor): Promise<EndUserView> {
    if (!actor.endUser) throw objectErrors.noPermission();
    return this.get(actor, actor.endUser.id);
  }

  /** Whoever knows name and password gets the key. */
  async logIn(actor: Actor, username: string, password: string): Promise<EndUserView> {
    const name = username.toLowerCase();
    const user = name.includes('\0') ? undefined : await findEndUser(this.#db, actor.projectId, { username: name });
    if (!user) throw objectErrors.wrongUsername();
    if (!(await verifyPassword(password, user.passwordHash))) throw objectErrors.wrongPassword();
    return this.#view(actor, user, true);
  }

  async create(
    actor: Actor,
    input: { username: string; password: string; profile?: Record<string, unknown> | undefined },
  ): Promise<EndUserView> {
    if (!canCreateUsers(actor)) throw objectErrors.noPermission();
    const { username } = readLogin(input);
    const passwordHash = await hashPassword(input.password);
    const key = makeKey();
    const created = await this.#db.transaction(async (tx) => {
      const id = await nextEndUserId(tx);
      const profileId = await this.#createProfile(tx, actor, id, input.profile ?? {});
      const user = {
        id,
        projectId: actor.projectId,
        username,
        passwordHash,
        keyHash: hashKey(key),
        keyCipher: this.#encrypt(actor, key),
        profileId,
        groupIds: [],
      };
      if (!(await insertEndUser(tx, user))) throw nameTaken();
      await this.#report(tx, actor, 'end-user.created', user, `Created user "${username}"`);
      return user;
    });
    return this.#view(actor, created, true);
  }

  /** All of them for those who look after the project's objects, else the actor's own user. */
  async list(actor: Actor, page: KeysetPage<number>): Promise<EndUserView[]> {
    const only = canReadAllObjects(actor) ? undefined : actor.endUser?.id;
    if (only === undefined && !canReadAllObjects(actor)) throw objectErrors.noPermission();
    const users = await listEndUsers(this.#db, actor.projectId, { ...page, only });
    return Promise.all(users.map((user) => this.#view(actor, user)));
  }

  async count(actor: Actor): Promise<number> {
    return canReadAllObjects(actor) ? countEndUsers(this.#db, actor.projectId) : 1;
  }

  async get(actor: Actor, id: number): Promise<EndUserView> {
    return this.#view(actor, await this.#require(actor, id));
  }

  async update(
    actor: Actor,
    id: number,
    patch: {
      username?: string | undefined;
      password?: string | undefined;
      profile?: Record<string, unknown> | undefined;
    },
  ): Promise<EndUserView> {
    const before = await this.#require(actor, id);
    if (!canManageObjects(actor) && actor.endUser?.id !== id) throw objectErrors.noPermission();
    const { username, password } = readLogin({ username: before.username, password: 'kept', ...defined(patch) });
    const passwordHash = patch.password === undefined ? undefined : await hashPassword(password);
    if (patch.profile) await this.#objects.update(actor, PROFILE_CLASS, before.profileId, { values: patch.profile });
    if (username !== before.username || passwordHash !== undefined) {
      await this.#db.transaction(async (tx) => {
        if (!(await updateEndUser(tx, id, { username, passwordHash }))) throw nameTaken();
        await this.#report(tx, actor, 'end-user.updated', { ...before, username }, `Changed user "${username}"`);
      });
    }
    return this.get(actor, id);
  }

  /** A new key; the old one stops working when this returns. */
  async refreshKey(actor: Actor, id: number): Promise<EndUserView> {
    const user = await this.#require(actor, id);
    if (!canManageObjects(actor) && actor.endUser?.id !== id) throw objectErrors.noPermission();
    const key = makeKey();
    const changed = { ...user, keyCipher: this.#encrypt(actor, key) };
    await this.#db.transaction(async (tx) => {
      await updateEndUser(tx, id, { key: { hash: hashKey(key), cipher: changed.keyCipher } });
      await this.#report(tx, actor, 'end-user.key-refreshed', user, `Refreshed the key of user "${user.username}"`);
    });
    return this.#view(actor, changed, true);
  }

  /** With its profile and every object it owns. */
  async delete(actor: Actor, id: number): Promise<void> {
    const user = await this.#require(actor, id);
    if (!canManageObjects(actor)) throw objectErrors.noPermission();
    await this.#db.transaction(async (tx) => {
      const classes = await listClasses(tx, actor.projectId, { limit: 1000 });
      for (const one of classes) if (one.sourceTableId === undefined) await deleteObjectsOf(tx, one.id, id);
      await deleteEndUser(tx, id);
      await this.#report(tx, actor, 'end-user.deleted', user, `Deleted user "${user.username}"`);
    });
  }

  async #createProfile(
    tx: Transaction,
    actor: Actor,
    ownerId: number,
    values: Record<string, unknown>,
  ): Promise<number> {
    const of = await this.#classes.ensureProfiles(tx, actor);
    const record = await this.#objects.profileRecord(actor, of, { values });
    const [row] = await insertObjects(tx, of, [{ ...record, ownerId }]);
    // Between the two statements somebody changed the class.
    if (!row) throw errors.conflict('The class of profiles was changed meanwhile.');
    return row.id;
  }

  async #view(actor: Actor, user: EndUserRecord, withKey = false): Promise<EndUserView> {
    const mayActAs = withKey || canManageObjects(actor);
    const everything: Actor = { ...actor, token: { ...actor.token, canManageBuckets: true } };
    const profile = await this.#objects.get(everything, PROFILE_CLASS, user.profileId).catch((error: unknown) => {
      // Deleted between the two reads.
      if ((error as { kind?: unknown }).kind === 'not-found') return undefined;
      throw error;
    });
    return {
      id: user.id,
      username: user.username,
      groups: user.groupIds.length === 0 ? [] : await this.#groups(user),
      profile,
      key: mayActAs ? this.#secrets.decryptText(user.keyCipher, { projectId: user.projectId }) : undefined,
    };
  }

  #groups({ projectId, groupIds }: EndUserRecord): Promise<Group[]> {
    return listGroups(this.#db, projectId, { limit: groupIds.length, ids: groupIds });
  }

  async #require(actor: Actor, id: number): Promise<EndUserRecord> {
    if (!canReadAllObjects(actor) && actor.endUser === undefined) throw objectErrors.noPermission();
    const isVisible = canReadAllObjects(actor) || actor.endUser?.id === id;
    const user = isVisible ? await findEndUser(this.#db, actor.projectId, { id }) : undefined;
    if (!user) throw objectErrors.userNotFound();
    return user;
  }

  async #byKey(projectId: number, key: string): Promise<EndUser | undefined> {
    this.#listen();
    const keyHash = hashKey(key);
    const name = `${projectId} ${keyHash.toString('base64')}`;
    const kept = this.#known.get(name);
    if (kept && kept.untilMs > Date.now()) return kept.user;
    const generation = this.#generation;
    const user = await findEndUser(this.#db, projectId, { keyHash });
    if (user && generation === this.#generation) {
      if (this.#known.size >= MAX_KEPT) this.#known.clear();
      this.#known.set(name, { user, untilMs: Date.now() + KEPT_MS });
    }
    return user;
  }

  /** What is remembered of users may be wrong. */
  forget(): void {
    this.#generation++;
    this.#known.clear();
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#db
      .listen('end_users', () => this.forget())
      .catch(() => {
        // Asked for again by the next call; until then the short life of what is kept has to do.
        this.#listening = false;
      });
  }

  #encrypt(actor: Actor, key: string): string {
    return this.#secrets.encryptText(key, { projectId: actor.projectId });
  }

  async #report(
    tx: Transaction,
    actor: Actor,
    name: Extract<EventName, `end-user.${string}`>,
    user: EndUser,
    message: string,
  ): Promise<void> {
    await notifyEndUsers(tx);
    tx.afterCommit(() => this.forget());
    await this.#events.append(
      tx,
      eventFor(actor, {
        name,
        component: 'storage',
        type: 'info',
        message,
        objectType: 'end-user',
        objectId: String(user.id),
        objectName: user.username,
      }),
    );
  }
}

function readLogin(input: { username: string; password: string }): { username: string; password: string } {
  const username = input.username.toLowerCase();
  const problems: FieldProblems = {};
  if (username === '') problems.username = ['This field may not be blank.'];
  if (username.length > MAX_NAME) problems.username = [`Ensure this field has no more than ${MAX_NAME} characters.`];
  if (username.includes('\0')) problems.username = ['Null characters are not allowed.'];
  if (input.password === '') problems.password = ['This field may not be blank.'];
  if (input.password.length > MAX_PASSWORD)
    problems.password = [`Ensure this field has no more than ${MAX_PASSWORD} characters.`];
  if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
  return { username, password: input.password };
}

function defined(patch: { username?: string | undefined; password?: string | undefined }) {
  return {
    ...(patch.username !== undefined && { username: patch.username }),
    ...(patch.password !== undefined && { password: patch.password }),
  };
}

function nameTaken() {
  return objectErrors.invalid({ username: ['This field must be unique.'] });
}

/** Forty hexadecimal digits, which is what the clients expect a key to be. */
function makeKey(): string {
  return randomBytes(20).toString('hex');
}

function hashKey(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}
