import { hash, randomBytes } from 'node:crypto';
import type { Database, Db, Transaction } from '../../db/database.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { randomToken } from '../../lib/ids.ts';
import { errors } from '../errors.ts';
import { type Events, eventFor } from '../events/events.ts';
import { NotifiedCache } from '../notified-cache.ts';
import type { Secrets } from '../secrets/secrets.ts';
import type { Actor, BucketRight, Manager } from './actor.ts';
import { identityErrors } from './identity-errors.ts';
import { assertAllowed, canCreateTokens, canManageTokens, ownsKey } from './permissions.ts';
import { ensurePerson, findPerson, type Person } from './person-store.ts';
import {
  isExpired,
  type NewToken,
  type Token,
  type TokenKind,
  type TokenPatch,
  type TokenRights,
} from './token-model.ts';
import {
  type CredentialOwner,
  deleteBearer,
  deleteExpiredBearers,
  deleteToken,
  findBranch,
  findMaster,
  findToken,
  findTokenBySecret,
  findTriggerOfToken,
  insertToken,
  type KnownToken,
  listCredentials,
  listTokens,
  nextTokenId,
  notifyTokens,
  type TokenRecord,
  updateToken,
} from './token-store.ts';

/** As clients know it from the original; who has less than a minute left asks for another. */
const BEARER_SECONDS = 900;

/** Kinds of credentials in whose name jobs are made. */
const JOB_TOKENS = ['storage', 'application', 'account-key', 'api-key'] as const;
/** Of these, those that lend keys to what runs for them; an application has a way of its own. */
const LENDERS = ['account-key', 'api-key', 'storage'] as const;

/** What a call brings along besides its token. */
export type CallOrigin = {
  /** The branch the call names; the default branch where it names none. */
  branchId?: number | undefined;
  runId?: string | undefined;
  origin?: Partial<Actor['origin']> | undefined;
};

/** Turns credentials into actors, and looks after the tokens of a project. */
export class Identity {
  readonly #db: Database;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #cache: NotifiedCache<KnownToken>;

  /** Undefined: keys that may be shown again are not kept, and so cannot be. */
  readonly #secrets: Pick<Secrets, 'encryptText'> | undefined;

  constructor(parts: { db: Database; events: Events; clock?: Clock; secrets?: Pick<Secrets, 'encryptText'> }) {
    this.#secrets = parts.secrets;
    this.#db = parts.db;
    this.#events = parts.events;
    this.#clock = parts.clock ?? systemClock;
    this.#cache = new NotifiedCache({ db: parts.db, clock: this.#clock, channel: 'tokens', maxKept: 10_000 });
  }

  /** A Storage token's text to its actor. Whatever is wrong with the token, the answer is the same and never has it in. */
  async authenticateStorageToken(secret: string, call: CallOrigin = {}): Promise<Actor> {
    const token = await this.#authenticate(['storage'], secret);
    const actor = this.#actorOf(token, call);
    return call.branchId === undefined ? actor : this.selectBranch(actor, call.branchId);
  }

  /** A key that opens one project, of a person or of a program, to its actor. */
  async authenticateProjectKey(secret: string, call: CallOrigin = {}): Promise<Actor> {
    const token = await this.#authenticate(['account-key', 'api-key', 'bearer'], secret);
    if (token.kind !== 'bearer') return this.#actorOf(token, call);
    return { ...(await this.#actorBehind(token, LENDERS, call)), isLent: true };
  }

  /**
   * A key for a program that works in the actor's name, with the actor's rights and for so long only. It shows, renews
   * and makes no other keys.
   */
  async lendKey(actor: Actor, seconds: number): Promise<{ id: number; secret: string }> {
    const expiresAt = new Date(this.#clock.now().getTime() + seconds * 1000);
    return this.#db.transaction(async (tx) => {
      await deleteExpiredBearers(tx, actor.token.id, this.#clock.now());
      return this.issue(tx, {
        kind: 'bearer',
        projectId: actor.projectId,
        description: actor.token.description,
        creatorTokenId: actor.token.id,
        expiresAt,
      });
    });
  }

  /** Before its time, because the program has ended. */
  async takeBackKey(actor: Actor, id: number): Promise<void> {
    await this.#db.transaction(async (tx) => {
      await deleteBearer(tx, { id, creatorTokenId: actor.token.id });
      await this.forget(tx);
    });
  }

  /** A short-lived token for an application's id and secret. Which of the two is wrong is not told. */
  async exchangeApplication(
    clientId: string,
    clientSecret: string,
  ): Promise<{ secret: string; expiresInSeconds: number }> {
    const application = await this.#application(clientId, clientSecret);
    const expiresAt = new Date(this.#clock.now().getTime() + BEARER_SECONDS * 1000);
    return this.#db.transaction(async (tx) => {
      await deleteExpiredBearers(tx, application.id, this.#clock.now());
      const { secret } = await this.issue(tx, {
        kind: 'bearer',
        projectId: application.projectId,
        description: application.description,
        creatorTokenId: application.id,
        expiresAt,
      });
      return { secret, expiresInSeconds: BEARER_SECONDS };
    });
  }

  /** A bearer token's text to the actor of its application, whose rights are asked for anew each time. */
  async authenticateBearer(secret: string, call: CallOrigin = {}): Promise<Actor> {
    const bearer = await this.#authenticate(['bearer'], secret);
    return this.#actorBehind(bearer, ['application'], call);
  }

  /** An application's id and secret themselves, for clients that send them with every call. */
  async authenticateApplication(clientId: string, clientSecret: string, call: CallOrigin = {}): Promise<Actor> {
    return this.#actorOf(await this.#application(clientId, clientSecret), call);
  }

  /** A manage token's text to the person whose it is. */
  async authenticateManageToken(secret: string): Promise<Manager> {
    const token = await this.#authenticate(['manage'], secret);
    if (!token.person) throw errors.unauthenticated();
    const { id, description, createdAt, expiresAt, person, isSuperAdmin } = token;
    const { name, email } = person;
    const { isSession, scopes } = token;
    return {
      personId: person.id,
      email,
      name,
      // A program's token has its scopes and nothing from its person.
      isSuperAdmin: isSuperAdmin && scopes === undefined,
      scopes,
      token: { id, description, createdAt, expiresAt, isSession },
    };
  }

  /**
   * The actor in whose name a job or a schedule runs, made anew from its token, so that rights taken away meanwhile are
   * gone here too. A token that is not valid any more makes the job fail: running on with rights that somebody revoked
   * would be worse than stopping.
   */
  async actorForJob(
    job: {
      projectId: number;
      branchId: number;
      token: { id: number };
      runId: string | undefined;
      origin: { address?: string; userAgent?: string };
    },
    db: Db = this.#db,
  ): Promise<Actor> {
    const actor = await this.actorOfToken(job.projectId, job.token.id, { runId: job.runId, origin: job.origin }, db);
    return this.selectBranch(actor, job.branchId, db);
  }

  /** The same for what somebody has left to be done in his name. Throws when the token is not valid any more. */
  async actorOfToken(projectId: number, tokenId: number, call: CallOrigin, db: Db = this.#db): Promise<Actor> {
    const token = await findToken(db, projectId, tokenId, JOB_TOKENS);
    if (!token || !this.#isUsable(token)) throw identityErrors.tokenGone(tokenId);
    return this.#actorOf(token, call);
  }

  /** A token of the project that jobs can be left to run with, if it is valid. */
  async findJobToken(db: Db, actor: Actor, tokenId: number): Promise<Token | undefined> {
    const token = await findToken(db, actor.projectId, tokenId);
    return token && this.#isUsable(token) ? token : undefined;
  }

  /** The same actor, working in another branch of its project. */
  async selectBranch(actor: Actor, branch: number | 'default', db: Db = this.#db): Promise<Actor> {
    if (branch === actor.branchId || (branch === 'default' && actor.isDefaultBranch)) return actor;
    const found = await findBranch(db, actor.projectId, branch);
    if (!found) throw identityErrors.branchNotFound(branch);
    return { ...actor, branchId: found.id, isDefaultBranch: found.isDefault };
  }

  /** The actor's own token: what a verify call shows, which many clients begin with. */
  async ownToken(actor: Actor): Promise<Token> {
    const { projectId, token } = actor;
    const known = await this.#cache.get(`own:${projectId}:${token.id}`, () => findToken(this.#db, projectId, token.id));
    if (!known) throw identityErrors.tokenNotFound(token.id);
    return known;
  }

  /** Another token of the project, for those who may manage tokens; its own for everybody. */
  async getToken(actor: Actor, id: number): Promise<Token> {
    assertAllowed(id === actor.token.id || canManageTokens(actor));
    return this.#require(this.#db, actor.projectId, id);
  }

  /** All tokens of the project, or only its own for a token that may not manage them. */
  async listTokens(actor: Actor): Promise<Token[]> {
    const tokens = await listTokens(this.#db, actor.projectId);
    return canManageTokens(actor) ? tokens : tokens.filter((token) => token.id === actor.token.id);
  }

  /** The secret is in the answer and nowhere else afterwards. */
  async createToken(actor: Actor, input: NewToken): Promise<{ token: Token; secret: string }> {
    assertAllowed(canCreateTokens(actor));
    const expiresIn = input.expiresInSeconds;
    if (expiresIn !== undefined && !(expiresIn >= 1)) throw identityErrors.expirationTooShort();
    // Who may only make minimal tokens gets one whatever was asked for.
    const grants = canManageTokens(actor) ? input : {};
    const record = {
      kind: 'storage' as const,
      projectId: actor.projectId,
      description: input.description || `Created by ${actor.token.description}`,
      rights: rightsOf(grants),
      bucketPermissions: checkBucketPermissions(grants.bucketPermissions ?? {}),
      componentAccess: grants.componentAccess,
      creatorTokenId: actor.token.id,
      expiresAt: expiresIn === undefined ? undefined : new Date(this.#clock.now().getTime() + expiresIn * 1000),
    };
    return this.#db.transaction(async (tx) => {
      const issued = await this.issue(tx, record);
      const token = await this.#require(tx, actor.projectId, issued.id);
      await this.#report(tx, actor, 'token.created', token, `Created token "${token.description}"`);
      return { token, secret: issued.secret };
    });
  }

  async updateToken(actor: Actor, id: number, patch: TokenPatch): Promise<Token> {
    assertAllowed(canManageTokens(actor));
    return this.#db.transaction(async (tx) => {
      const before = await this.#require(tx, actor.projectId, id);
      if (before.isMaster && Object.keys(patch).some((key) => key !== 'description'))
        throw identityErrors.masterToken('changed');
      await updateToken(tx, id, {
        description: patch.description || undefined,
        rights: rightsOf(patch),
        bucketPermissions: patch.bucketPermissions && checkBucketPermissions(patch.bucketPermissions),
        componentAccess: patch.componentAccess,
      });
      await this.forget(tx);
      const token = await this.#require(tx, actor.projectId, id);
      await this.#report(tx, actor, 'token.updated', token, `Updated token "${token.description}"`);
      return token;
    });
  }

  /** Its own for everybody, others' for those who may manage tokens; never a master token. */
  async deleteToken(actor: Actor, id: number): Promise<void> {
    assertAllowed(id === actor.token.id || canManageTokens(actor));
    await this.#db.transaction(async (tx) => {
      const token = await this.#require(tx, actor.projectId, id);
      if (token.isMaster) throw identityErrors.masterToken('deleted');
      // Deleted first: a trigger that is being made with it either is seen here, or finds no token.
      await deleteToken(tx, id);
      const trigger = await findTriggerOfToken(tx, actor.projectId, id);
      if (trigger) throw identityErrors.usedByTrigger(trigger.componentId, trigger.configurationId);
      await this.forget(tx);
      await this.#report(tx, actor, 'token.deleted', token, `Deleted token "${token.description}"`);
    });
  }

  /** A new secret; the old one stops working when this returns. */
  async refreshToken(actor: Actor, id: number): Promise<{ token: Token; secret: string }> {
    assertAllowed((id === actor.token.id && ownsKey(actor)) || canManageTokens(actor));
    return this.#db.transaction(async (tx) => {
      const known = await this.#require(tx, actor.projectId, id);
      // The answer is a secret: whoever got it could act as that person.
      if (known.isMaster && id !== actor.token.id) throw identityErrors.foreignMaster();
      const secret = makeSecret('storage', known.id, actor.projectId);
      await updateToken(tx, id, { secretHash: hashSecret(secret) });
      await this.forget(tx);
      const token = await this.#require(tx, actor.projectId, id);
      await this.#report(tx, actor, 'token.refreshed', token, `Refreshed token "${token.description}"`);
      return { token, secret };
    });
  }

  /** For whoever has asked for the right to know already. */
  async findPerson(db: Db, who: number | string): Promise<Person | undefined> {
    return findPerson(db, typeof who === 'number' ? { id: who } : { email: who });
  }

  async ensurePerson(tx: Transaction, email: string): Promise<number> {
    return ensurePerson(tx, email);
  }

  /** A Storage token without an actor, for somebody who has no token of the project; of the rights asked for. */
  async issueFor(
    tx: Transaction,
    projectId: number,
    creator: string,
    input: NewToken,
  ): Promise<{ token: Token; secret: string }> {
    const expiresIn = input.expiresInSeconds;
    if (expiresIn !== undefined && !(expiresIn >= 1)) throw identityErrors.expirationTooShort();
    const { id, secret } = await this.issue(tx, {
      kind: 'storage',
      projectId,
      description: input.description || `Created by ${creator}`,
      rights: rightsOf(input),
      bucketPermissions: checkBucketPermissions(input.bucketPermissions ?? {}),
      componentAccess: input.componentAccess,
      expiresAt: expiresIn === undefined ? undefined : new Date(this.#clock.now().getTime() + expiresIn * 1000),
    });
    return { token: await this.#require(tx, projectId, id), secret };
  }

  /** A member's own master token: made, or with a new secret when there is one. */
  async issueMaster(
    tx: Transaction,
    projectId: number,
    person: { id: number; email: string },
  ): Promise<{ token: Token; secret: string }> {
    const known = await findMaster(tx, projectId, person.id);
    if (known) return { token: known, secret: await this.renew(tx, known) };
    const { id, secret } = await this.issue(tx, {
      kind: 'storage',
      projectId,
      personId: person.id,
      isMaster: true,
      description: person.email,
    });
    return { token: await this.#require(tx, projectId, id), secret };
  }

  /** A credential of any kind, without an actor to ask: for whoever makes projects and persons. */
  async issue(
    tx: Transaction,
    record: Omit<TokenRecord, 'id' | 'secretHash'>,
  ): Promise<{ id: number; secret: string }> {
    const id = await nextTokenId(tx);
    const secret = makeSecret(record.kind, id, record.projectId);
    await insertToken(tx, { ...record, id, ...this.#stored(record, secret) });
    return { id, secret };
  }

  /** A new secret for the owner's oldest credential of that kind; the old secret stops working with the commit. */
  async reissue(tx: Transaction, owner: CredentialOwner, kind: TokenKind): Promise<{ token: Token; secret: string }> {
    const [token] = await listCredentials(tx, owner, kind);
    if (!token) throw identityErrors.credentialNotFound(kind);
    return { token, secret: await this.renew(tx, token) };
  }

  /** A new secret for a credential of any kind; the old one stops working with the commit. */
  async renew(tx: Transaction, token: Pick<Token, 'id' | 'kind' | 'projectId'>): Promise<string> {
    const secret = makeSecret(token.kind, token.id, token.projectId);
    await updateToken(tx, token.id, this.#stored(token, secret));
    await this.forget(tx);
    return secret;
  }

  /** The hash by which a secret is found; of the keys that people look up again in consoles also the text, encrypted. */
  #stored({ kind, projectId }: Pick<TokenRecord, 'kind' | 'projectId'>, secret: string) {
    const isShown = (kind === 'api-key' || kind === 'account-key') && projectId !== undefined;
    const secretCipher = isShown ? this.#secrets?.encryptText(secret, { projectId }) : undefined;
    return { secretHash: hashSecret(secret), secretCipher };
  }

  async #application(clientId: string, clientSecret: string): Promise<KnownToken> {
    const application = await this.#authenticate(['application'], clientSecret);
    if (application.publicId !== clientId) throw errors.unauthenticated();
    return application;
  }

  /** Of whom a bearer speaks for: only where that one is of a kind that this way of asking is for. */
  async #actorBehind(
    { projectId, creator }: KnownToken,
    kinds: readonly TokenKind[],
    call: CallOrigin,
  ): Promise<Actor> {
    if (projectId === undefined || creator === undefined) throw errors.unauthenticated();
    const behind = await this.#cache.get(`id:${kinds[0]}:${creator.id}`, () =>
      findToken(this.#db, projectId, creator.id, kinds),
    );
    if (!behind || !this.#isUsable(behind)) throw errors.unauthenticated();
    return this.#actorOf(behind, call);
  }

  async #authenticate(kinds: readonly TokenKind[], secret: string): Promise<KnownToken> {
    const hash = hashSecret(secret);
    const token = await this.#cache.get(`${kinds[0]}:${hash.toString('base64')}`, () =>
      findTokenBySecret(this.#db, kinds, hash),
    );
    if (!token || !this.#isUsable(token)) throw errors.unauthenticated();
    return token;
  }

  #isUsable(token: KnownToken): boolean {
    const now = this.#clock.now();
    if (token.isDisabled || isExpired(token, now) || !token.isMember) return false;
    return [token.membershipExpiresAt, token.projectExpiresAt].every((end) => end === undefined || end > now);
  }

  #actorOf(token: KnownToken, call: CallOrigin): Actor {
    if (token.projectId === undefined || token.defaultBranchId === undefined) throw errors.unauthenticated();
    const { projectDisabled } = token;
    if (projectDisabled) throw identityErrors.projectDisabled(projectDisabled.reason, projectDisabled.estimatedEndTime);
    // A person's key or application has that person's rights in the project.
    const all = token.isMaster || token.kind === 'account-key' || token.kind === 'application';
    return {
      projectId: token.projectId,
      branchId: token.defaultBranchId,
      isDefaultBranch: true,
      storageBranchId: token.defaultBranchId,
      token: {
        id: token.id,
        description: token.description,
        isMaster: all,
        canManageBuckets: all || token.rights.canManageBuckets === true,
        canManageTokens: all || token.rights.canManageTokens === true,
        canReadAllFiles: all || token.rights.canReadAllFiles === true,
        canPurgeTrash: all || token.rights.canPurgeTrash === true,
        canReadAllEvents: all || token.rights.canReadAllEvents === true,
        bucketPermissions: token.bucketPermissions,
        componentAccess: token.componentAccess,
        person: all ? token.person : undefined,
        ...(token.kind === 'api-key' && { objects: objectRightsOf(token.rights) }),
      },
      runId: call.runId,
      origin: { address: call.origin?.address, userAgent: call.origin?.userAgent },
    };
  }

  async #require(db: Db, projectId: number, id: number): Promise<KnownToken> {
    const token = await findToken(db, projectId, id);
    if (!token) throw identityErrors.tokenNotFound(id);
    return token;
  }

  /** What is remembered of tokens and persons may be wrong once the transaction has committed. */
  async forget(tx: Transaction): Promise<void> {
    await notifyTokens(tx);
    tx.afterCommit(() => this.#cache.clear());
  }

  async #report(
    tx: Transaction,
    actor: Actor,
    name: 'token.created' | 'token.updated' | 'token.refreshed' | 'token.deleted',
    token: Token,
    message: string,
  ): Promise<void> {
    await this.#events.append(
      tx,
      eventFor(actor, {
        name,
        component: 'storage',
        type: 'info',
        message,
        objectType: 'token',
        objectId: String(token.id),
        objectName: token.description,
      }),
    );
  }
}

/** SHA-256: secrets are random and long, so guessing is hopeless without slowing every request down. */
export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

/** The text of a new secret, as the clients of its dialect expect it to look. */
function makeSecret(kind: TokenKind, id: number, projectId: number | undefined): string {
  switch (kind) {
    case 'storage':
      // Clients split it at `-` and expect three parts.
      return `${projectId}-${id}-${randomToken(30)}`;
    case 'manage':
    case 'application':
    case 'bearer':
      return randomToken(30);
    case 'account-key':
    case 'api-key':
      return randomBytes(20).toString('hex');
  }
}

function objectRightsOf(rights: TokenRights): NonNullable<Actor['token']['objects']> {
  return {
    ignoresRules: rights.ignoreAcl === true,
    createsUsers: rights.canCreateUsers === true,
    createsGroups: rights.canCreateGroups === true,
    readsPublic: rights.canReadPublic === true,
  };
}

function rightsOf(input: NewToken): TokenRights {
  const rights: TokenRights = {};
  for (const right of [
    'canManageBuckets',
    'canReadAllFiles',
    'canPurgeTrash',
    'canReadAllEvents',
    'canCreateJobs',
    'canManageProtectedDefaultBranch',
  ] as const) {
    const value = input[right];
    if (value !== undefined) rights[right] = value;
  }
  return rights;
}

function checkBucketPermissions(permissions: Record<string, string>): Record<string, BucketRight> {
  const checked: [string, BucketRight][] = [];
  for (const [bucketId, right] of Object.entries(permissions)) {
    if (right !== 'read' && right !== 'write') throw identityErrors.invalidPermissions(bucketId, right);
    checked.push([bucketId, right]);
  }
  return Object.fromEntries(checked);
}
