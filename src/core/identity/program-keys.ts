import type { Database, Transaction } from '../../db/database.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import { type Events, eventFor } from '../events/events.ts';
import type { Secrets } from '../secrets/secrets.ts';
import type { Actor } from './actor.ts';
import type { Identity } from './identity.ts';
import { identityErrors } from './identity-errors.ts';
import { assertAllowed, canManageTokens, ownsKey } from './permissions.ts';
import type { TokenRights } from './token-model.ts';
import { deleteToken, findToken, type KnownToken, listKeys, updateToken } from './token-store.ts';

export type KeyRights = Pick<TokenRights, 'ignoreAcl' | 'canCreateUsers' | 'canCreateGroups' | 'canReadPublic'>;

/** A program's key. Its text is there for whoever may manage keys, and for itself. */
export type ProgramKey = {
  id: number;
  description: string;
  rights: KeyRights;
  createdAt: Date;
  /** Undefined for keys made before texts were kept; a reset gives one that is. */
  secret: string | undefined;
};

export type ProgramKeyPatch = { description?: string | undefined; rights?: KeyRights | undefined };

/** The keys by which a project's programs call the object API. A key sees itself; persons who manage tokens see all. */
export class ProgramKeys {
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

  async list(actor: Actor, page: KeysetPage<number>): Promise<ProgramKey[]> {
    assertAllowed(canManageTokens(actor));
    return (await listKeys(this.#db, actor.projectId, page)).map((token) => this.#view(token));
  }

  async get(actor: Actor, id: number): Promise<ProgramKey> {
    assertAllowed(canManageTokens(actor) || (actor.token.id === id && ownsKey(actor)));
    return this.#view(await this.#require(actor, id));
  }

  async create(actor: Actor, input: ProgramKeyPatch): Promise<ProgramKey> {
    assertAllowed(canManageTokens(actor));
    const id = await this.#db.transaction(async (tx) => {
      const made = await this.#identity.issue(tx, {
        kind: 'api-key',
        projectId: actor.projectId,
        description: input.description ?? '',
        rights: input.rights ?? {},
        creatorTokenId: actor.token.id,
      });
      await this.#report(tx, actor, 'token.created', { id: made.id, description: input.description ?? '' });
      return made.id;
    });
    return this.get(actor, id);
  }

  async update(actor: Actor, id: number, patch: ProgramKeyPatch): Promise<ProgramKey> {
    const before = await this.#managed(actor, id);
    await this.#db.transaction(async (tx) => {
      await updateToken(tx, id, { description: patch.description, rights: patch.rights });
      await this.#identity.forget(tx);
      await this.#report(tx, actor, 'token.updated', before);
    });
    return this.get(actor, id);
  }

  /** A new text; the old one stops working when this returns. */
  async reset(actor: Actor, id: number): Promise<ProgramKey> {
    const before = await this.#managed(actor, id);
    await this.#db.transaction(async (tx) => {
      await this.#identity.renew(tx, before);
      await this.#report(tx, actor, 'token.refreshed', before);
    });
    return this.get(actor, id);
  }

  async delete(actor: Actor, id: number): Promise<void> {
    const before = await this.#managed(actor, id);
    await this.#db.transaction(async (tx) => {
      await deleteToken(tx, id);
      await this.#identity.forget(tx);
      await this.#report(tx, actor, 'token.deleted', before);
    });
  }

  async #managed(actor: Actor, id: number): Promise<KnownToken> {
    assertAllowed(canManageTokens(actor));
    return this.#require(actor, id);
  }

  async #require({ projectId }: Actor, id: number): Promise<KnownToken> {
    const token = await findToken(this.#db, projectId, id, ['api-key']);
    if (!token) throw identityErrors.tokenNotFound(id);
    return token;
  }

  #view({ id, description, rights, createdAt, projectId, secretCipher }: KnownToken): ProgramKey {
    const isKept = secretCipher !== undefined && projectId !== undefined;
    const secret = isKept ? this.#secrets.decryptText(secretCipher, { projectId }) : undefined;
    return { id, description, rights, createdAt, secret };
  }

  async #report(
    tx: Transaction,
    actor: Actor,
    name: 'token.created' | 'token.updated' | 'token.refreshed' | 'token.deleted',
    key: { id: number; description: string },
  ): Promise<void> {
    const verb = { created: 'Created', updated: 'Updated', refreshed: 'Refreshed', deleted: 'Deleted' } as const;
    const what = verb[name.slice('token.'.length) as keyof typeof verb];
    await this.#events.append(
      tx,
      eventFor(actor, {
        name,
        component: 'storage',
        type: 'info',
        message: `${what} API key "${key.description}"`,
        objectType: 'token',
        objectId: String(key.id),
        objectName: key.description,
      }),
    );
  }
}
