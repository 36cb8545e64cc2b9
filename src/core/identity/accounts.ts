import type { Database } from '../../db/database.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Secrets } from '../secrets/secrets.ts';
import type { Actor } from './actor.ts';
import type { Identity } from './identity.ts';
import { identityErrors } from './identity-errors.ts';
import { hashPassword, verifyPassword } from './password.ts';
import { assertAllowed, ownsKey } from './permissions.ts';
import { findPerson, type Person, updatePerson } from './person-store.ts';
import { findToken, listAccountKeys } from './token-store.ts';

/** A person as it sees itself. */
export type Account = Omit<Person, 'passwordHash' | 'isSuperAdmin' | 'features'> & { hasPassword: boolean };

export type AccountPatch = {
  name?: string | undefined;
  email?: string | undefined;
  metadata?: Record<string, unknown> | undefined;
};

/** What persons do with their own account: with an account key of theirs or, to get one, with their password. */
export class Accounts {
  readonly #db: Database;
  readonly #events: Events;
  readonly #identity: Identity;
  readonly #secrets: Secrets;

  constructor(parts: { db: Database; events: Events; identity: Identity; secrets: Secrets }) {
    this.#db = parts.db;
    this.#events = parts.events;
    this.#identity = parts.identity;
    this.#secrets = parts.secrets;
  }

  async get(actor: Actor): Promise<Account> {
    return toAccount(await this.#own(actor));
  }

  /** The account and its key for the oldest of the person's projects. */
  async logIn(email: string, password: string): Promise<{ account: Account; key: string }> {
    const person = email.includes('\0') ? undefined : await findPerson(this.#db, { email });
    if (!person) throw identityErrors.wrongEmail();
    if (!person.passwordHash || !(await verifyPassword(password, person.passwordHash)))
      throw identityErrors.wrongPassword();
    const [oldest] = await listAccountKeys(this.#db, person.id);
    if (oldest?.projectId === undefined) throw identityErrors.noProject();
    const { projectId, secretCipher, description } = oldest;
    if (secretCipher !== undefined)
      return { account: toAccount(person), key: this.#secrets.decryptText(secretCipher, { projectId }) };
    // Made when its text was not kept. It stays valid; this is one more.
    const made = await this.#db.transaction((tx) =>
      this.#identity.issue(tx, { kind: 'account-key', projectId, personId: person.id, description }),
    );
    return { account: toAccount(person), key: made.secret };
  }

  async update(actor: Actor, patch: AccountPatch): Promise<Account> {
    const { id } = await this.#own(actor);
    if (Object.values(patch).some((value) => value !== undefined)) {
      await this.#db.transaction(async (tx) => {
        if (!(await updatePerson(tx, id, patch))) throw identityErrors.emailTaken();
        await this.#identity.forget(tx);
        await this.#events.append(
          tx,
          eventFor(actor, {
            name: 'person.updated',
            component: 'storage',
            type: 'info',
            message: 'Changed account',
            objectType: 'person',
            objectId: String(id),
          }),
        );
      });
    }
    return this.get(actor);
  }

  async changePassword(actor: Actor, current: string, next: string): Promise<void> {
    const person = await this.#own(actor);
    if (!person.passwordHash || !(await verifyPassword(current, person.passwordHash)))
      throw identityErrors.wrongCurrentPassword();
    const passwordHash = await hashPassword(next);
    await this.#db.transaction(async (tx) => {
      await updatePerson(tx, person.id, { passwordHash });
      await this.#events.append(
        tx,
        eventFor(actor, {
          name: 'person.updated',
          component: 'storage',
          type: 'info',
          message: 'Changed password',
          objectType: 'person',
          objectId: String(person.id),
        }),
      );
    });
  }

  /** A new text for the key the call was made with; the old one stops working when this returns. */
  async resetKey(actor: Actor): Promise<{ account: Account; key: string }> {
    assertAllowed(ownsKey(actor));
    const person = await this.#own(actor);
    const key = await this.#db.transaction(async (tx) => {
      const token = await findToken(tx, actor.projectId, actor.token.id, ['account-key']);
      assertAllowed(token !== undefined);
      if (!token) throw identityErrors.tokenNotFound(actor.token.id);
      const secret = await this.#identity.renew(tx, token);
      await this.#events.append(
        tx,
        eventFor(actor, {
          name: 'token.refreshed',
          component: 'storage',
          type: 'info',
          message: `Refreshed account key of "${person.email}"`,
          objectType: 'token',
          objectId: String(token.id),
          objectName: token.description,
        }),
      );
      return secret;
    });
    return { account: toAccount(person), key };
  }

  async #own({ token }: Actor): Promise<Person> {
    // Keys of programs have no person, whatever they may do.
    const person = token.person && (await findPerson(this.#db, { id: token.person.id }));
    assertAllowed(person !== undefined);
    return person as Person;
  }
}

function toAccount({ passwordHash, isSuperAdmin: _, features: __, ...person }: Person): Account {
  return { ...person, hasPassword: passwordHash !== undefined };
}
