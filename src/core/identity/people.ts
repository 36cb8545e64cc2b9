import type { Database, Transaction } from '../../db/database.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { errors } from '../errors.ts';
import type { Manager } from './actor.ts';
import type { Identity } from './identity.ts';
import { identityErrors } from './identity-errors.ts';
import {
  blankPerson,
  countSoleMemberships,
  ensurePerson,
  findPerson,
  listPersons,
  type Person,
  updatePerson,
} from './person-store.ts';
import type { Token } from './token-model.ts';
import { deleteExpiredSessions, deleteToken, listCredentials } from './token-store.ts';

/** As long as in the original. */
const SESSION_SECONDS = 3600;

export const MANAGE_SCOPES = [
  'projects:read',
  'organizations:read',
  'deleted-projects:read',
  'manage:storage-tokens',
] as const;

/** Persons as administrators see them, and the tokens by which they manage. */
export class People {
  readonly #db: Database;
  readonly #identity: Identity;
  readonly #clock: Clock;

  constructor(parts: { db: Database; identity: Identity; clock?: Clock }) {
    this.#db = parts.db;
    this.#identity = parts.identity;
    this.#clock = parts.clock ?? systemClock;
  }

  async list(manager: Manager, page: { limit: number; offset: number; text?: string | undefined }): Promise<Person[]> {
    requireAdmin(manager);
    return listPersons(this.#db, page);
  }

  /** Himself, or anybody for a super administrator. */
  async get(manager: Manager, who: number | string): Promise<Person> {
    return this.#allowed(manager, who);
  }

  /** The account and its first token, which is in the answer only; without it nobody could use the account. */
  async create(
    manager: Manager,
    input: { email: string; name?: string | undefined },
  ): Promise<{ person: Person; secret: string }> {
    requireAdmin(manager);
    const email = input.email.trim();
    if (email.length > 255 || !/^[^\s@]+@[^\s@]+$/.test(email)) throw identityErrors.invalidEmail();
    return this.#db.transaction(async (tx) => {
      if (await findPerson(tx, { email })) throw identityErrors.personExists(email);
      const id = await ensurePerson(tx, email, input.name?.trim());
      const { secret } = await this.#identity.issue(tx, { kind: 'manage', personId: id, description: email });
      return { person: await this.#require(tx, id), secret };
    });
  }

  async rename(manager: Manager, who: number | string, name: string): Promise<Person> {
    const person = await this.#allowed(manager, who);
    const text = name.trim();
    if (text === '' || text.length > 255) throw identityErrors.personNameMissing();
    return this.#change(person.id, { name: text });
  }

  /** The account ends: nothing of it opens anything any more, and its address is free again. */
  async delete(manager: Manager, who: number | string): Promise<void> {
    requireAdmin(manager);
    await this.#db.transaction(async (tx) => {
      const person = await this.#require(tx, who);
      if (person.id === manager.personId) throw identityErrors.deleteSelf();
      if ((await countSoleMemberships(tx, person.id)) > 0) throw identityErrors.lastMember();
      await blankPerson(tx, person.id);
      await this.#identity.forget(tx);
    });
  }

  async setSuperAdmin(manager: Manager, who: number | string, isSuperAdmin: boolean): Promise<Person> {
    requireAdmin(manager);
    const person = await this.#require(this.#db, who);
    // Somebody must be left who can grant it again.
    if (person.id === manager.personId && !isSuperAdmin) throw identityErrors.ownSuperAdmin();
    return this.#change(person.id, { isSuperAdmin });
  }

  /** A session of the person himself, for an hour. */
  async openSession(manager: Manager): Promise<{ token: Token; secret: string }> {
    if (manager.scopes !== undefined) throw errors.forbidden();
    return this.#db.transaction(async (tx) => {
      await deleteExpiredSessions(tx, manager.personId, this.#clock.now());
      return this.#issue(tx, manager.personId, {
        description: `Session of ${manager.email}`,
        isSession: true,
        expiresInSeconds: SESSION_SECONDS,
      });
    });
  }

  async listTokens(manager: Manager): Promise<Token[]> {
    if (manager.scopes !== undefined) throw errors.forbidden();
    return (await listCredentials(this.#db, { personId: manager.personId }, 'manage')).filter(
      ({ isSession }) => !isSession,
    );
  }

  /** Of the person himself, or of another for a super administrator. With scopes it is a program's, not a person's. */
  async createToken(
    manager: Manager,
    input: {
      who?: number | string | undefined;
      description: string;
      scopes?: string[] | undefined;
      expiresInSeconds?: number | undefined;
    },
  ): Promise<{ token: Token; secret: string }> {
    if (manager.scopes !== undefined) throw errors.forbidden();
    if (input.scopes !== undefined) {
      requireAdmin(manager);
      const unknown = input.scopes.find((scope) => !MANAGE_SCOPES.some((known) => known === scope));
      if (unknown !== undefined) throw identityErrors.unknownScope(unknown, MANAGE_SCOPES);
    }
    const { expiresInSeconds } = input;
    if (expiresInSeconds !== undefined && !(expiresInSeconds >= 1)) throw identityErrors.expirationTooShort();
    const person = input.who === undefined ? undefined : await this.#allowed(manager, input.who);
    // Otherwise a session that somebody got hold of would live for ever.
    if (manager.token.isSession) throw errors.forbidden();
    return this.#db.transaction((tx) => this.#issue(tx, person?.id ?? manager.personId, input));
  }

  /** One of the person's own; also the one the call is made with. */
  async deleteToken(manager: Manager, id: number): Promise<void> {
    if (manager.scopes !== undefined && id !== manager.token.id) throw errors.forbidden();
    await this.#db.transaction(async (tx) => {
      const own = await listCredentials(tx, { personId: manager.personId }, 'manage');
      if (!own.some((token) => token.id === id)) throw identityErrors.tokenNotFound(id);
      await deleteToken(tx, id);
      await this.#identity.forget(tx);
    });
  }

  async #issue(
    tx: Transaction,
    personId: number,
    input: {
      description: string;
      scopes?: string[] | undefined;
      isSession?: boolean;
      expiresInSeconds?: number | undefined;
    },
  ): Promise<{ token: Token; secret: string }> {
    const { description, scopes, isSession, expiresInSeconds: seconds } = input;
    const expiresAt = seconds === undefined ? undefined : new Date(this.#clock.now().getTime() + seconds * 1000);
    const { id, secret } = await this.#identity.issue(tx, {
      kind: 'manage',
      personId,
      description,
      scopes,
      isSession,
      expiresAt,
    });
    const token = (await listCredentials(tx, { personId }, 'manage')).find((one) => one.id === id);
    if (!token) throw new Error('the token just made is not there');
    return { token, secret };
  }

  async #change(id: number, change: Parameters<typeof updatePerson>[2]): Promise<Person> {
    return this.#db.transaction(async (tx) => {
      await updatePerson(tx, id, change);
      await this.#identity.forget(tx);
      return this.#require(tx, id);
    });
  }

  /** Others look the same to a stranger as nobody does. */
  async #allowed(manager: Manager, who: number | string): Promise<Person> {
    if (manager.scopes !== undefined) throw errors.forbidden();
    const isSelf = who === manager.personId || String(who).toLowerCase() === manager.email.toLowerCase();
    if (!isSelf && !manager.isSuperAdmin) throw errors.forbidden();
    return this.#require(this.#db, who);
  }

  async #require(db: Parameters<typeof findPerson>[0], who: number | string): Promise<Person> {
    const person = await findPerson(db, typeof who === 'number' ? { id: who } : { email: who });
    if (!person) throw identityErrors.personNotFound(who);
    return person;
  }
}

function requireAdmin(manager: Manager): void {
  if (manager.scopes !== undefined || !manager.isSuperAdmin) throw errors.forbidden();
}
