import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import type { Db } from '../../db/database.ts';
import type { Json } from '../../lib/json.ts';
import { secretErrors } from './secret-errors.ts';
import { ensureKeyCheck } from './secret-store.ts';

/**
 * Ciphers are texts: `KBC::<Scope>Secure::<base64>`, the prefix all clients recognise. Inside the base64:
 *
 *   1 byte format (1) · 4 bytes id of the data key · 12 bytes nonce · ciphertext · 16 bytes tag   (AES-256-GCM)
 *
 * The scope in the prefix says what a cipher is bound to. The bound ids go into the derivation of the key (HKDF) and
 * into the additional data, so a cipher carried to another project, component or configuration is refused there:
 *
 *   ProjectWideSecure  project                  ProjectSecure  project, component
 *   ComponentSecure    component                ConfigSecure   project, component, configuration
 *
 * The id of the data key lets a second key take over one day: new ciphers with the new one, old ones still readable.
 */
export type SecretScope = {
  projectId?: number | undefined;
  componentId?: string | undefined;
  configurationId?: string | undefined;
};

type ScopeName = 'ProjectWideSecure' | 'ComponentSecure' | 'ProjectSecure' | 'ConfigSecure';

const FORMAT = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + 4 + NONCE_BYTES;
const OWN_CIPHER = /^KBC::(ProjectWideSecure|ComponentSecure|ProjectSecure|ConfigSecure)::([A-Za-z0-9+/]+={0,2})$/;
/** Also what other stacks made: not readable here, but not a plain text either. */
const ANY_CIPHER = /^KBC::([A-Za-z]*Secure[A-Za-z]*::|(ComponentProject|Component|)Encrypted==).+$/s;
/** A variable that is replaced at run time. Encrypting the placeholder would keep it from being found. */
const PLACEHOLDER = /^\{\{\s*[a-zA-Z0-9_\-.]+\s*\}\}$/;

export class Secrets {
  readonly #key: Buffer;
  readonly #keyId: Buffer;

  /** `key`: 32 random bytes, the one secret everything else hangs on. */
  constructor(key: Buffer) {
    if (key.length !== 32) throw new Error('the data key must have 32 bytes');
    this.#key = key;
    this.#keyId = createHash('sha256').update('millrace data key id').update(key).digest().subarray(0, 4);
  }

  /** Refuses to work on a database whose secrets were encrypted with another key. Called once at start. */
  async checkKey(db: Db): Promise<void> {
    const text = 'millrace';
    const kept = await ensureKeyCheck(db, this.encryptText(text, { projectId: 0 }));
    try {
      if (this.decryptText(kept, { projectId: 0 }) !== text) throw secretErrors.wrongKey();
    } catch {
      throw secretErrors.wrongKey();
    }
  }

  /** Bound to everything the scope names. */
  encryptText(plain: string, scope: SecretScope): string {
    const name = scopeName(scope);
    const binding = bind(name, scope);
    if (binding === undefined) throw new Error(`scope without the ids of ${name}`);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#deriveKey(binding), nonce).setAAD(Buffer.from(binding));
    const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
    const payload = Buffer.concat([Buffer.from([FORMAT]), this.#keyId, nonce, body, cipher.getAuthTag()]);
    return `KBC::${name}::${payload.toString('base64')}`;
  }

  /** `scope` is all that is known of the place of use; the cipher's own prefix says which parts must agree. */
  decryptText(text: string, scope: SecretScope): string {
    const match = OWN_CIPHER.exec(text);
    const payload = Buffer.from(match?.[2] ?? '', 'base64');
    const binding = match ? bind(match[1] as ScopeName, scope) : undefined;
    if (binding === undefined || payload.length < HEAD_BYTES + TAG_BYTES || payload[0] !== FORMAT)
      throw secretErrors.undecryptable();
    if (!payload.subarray(1, 5).equals(this.#keyId)) throw secretErrors.undecryptable();
    const decipher = createDecipheriv('aes-256-gcm', this.#deriveKey(binding), payload.subarray(5, HEAD_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(Buffer.from(binding)).setAuthTag(payload.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(payload.subarray(HEAD_BYTES, -TAG_BYTES)), decipher.final()]).toString();
    } catch {
      // The one way to fail: the tag does not fit, because of another scope or a changed cipher.
      throw secretErrors.undecryptable();
    }
  }

  /** Whether the text is a cipher of ours or of another installation. */
  isCipher(text: string): boolean {
    return ANY_CIPHER.test(text);
  }

  /**
   * Encrypts every scalar under a key that starts with `#`, at any depth, and leaves all else as it is. Numbers and
   * booleans become text, as in the original. Not touched: ciphers, the empty text, null, and texts that are nothing
   * but a variable placeholder. Lists and objects under a `#` key are walked through like any other.
   */
  encryptTree(value: Json, scope: SecretScope): Json {
    return mapSecrets(value, (plain) => {
      if (plain === null || plain === '') return plain;
      const text = String(plain);
      return this.isCipher(text) || PLACEHOLDER.test(text) ? text : this.encryptText(text, scope);
    });
  }

  /**
   * The reverse. A plain text under a `#` key is refused: somebody forgot to encrypt it, and running with it would
   * hide that. `secrets` are all the plain texts, for masking what is logged.
   */
  decryptTree(value: Json, scope: SecretScope): { value: Json; secrets: string[] } {
    const secrets = new Set<string>();
    const decrypted = mapSecrets(value, (cipher, key) => {
      if (cipher === null || cipher === '') return cipher;
      if (typeof cipher === 'string' && PLACEHOLDER.test(cipher)) return cipher;
      if (typeof cipher !== 'string' || !this.isCipher(cipher)) throw secretErrors.undecryptable(key);
      let plain: string;
      try {
        plain = this.decryptText(cipher, scope);
      } catch {
        throw secretErrors.undecryptable(key);
      }
      if (plain !== '') secrets.add(plain);
      return plain;
    });
    return { value: decrypted, secrets: [...secrets] };
  }

  #deriveKey(binding: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#key, this.#keyId, `millrace secret ${binding}`, 32));
  }
}

function scopeName(scope: SecretScope): ScopeName {
  if (scope.configurationId !== undefined) return 'ConfigSecure';
  if (scope.componentId === undefined) return 'ProjectWideSecure';
  return scope.projectId === undefined ? 'ComponentSecure' : 'ProjectSecure';
}

/** The ids a cipher of that name is bound to, as one text; undefined when the scope lacks one of them. */
function bind(name: ScopeName, scope: SecretScope): string | undefined {
  const { projectId, componentId, configurationId } = scope;
  const ids = {
    ProjectWideSecure: [projectId],
    ComponentSecure: [componentId],
    ProjectSecure: [projectId, componentId],
    ConfigSecure: [projectId, componentId, configurationId],
  }[name];
  return ids.includes(undefined) ? undefined : JSON.stringify([name, ...ids]);
}

type Scalar = null | boolean | number | string;

function mapSecrets(value: Json, change: (scalar: Scalar, key: string) => Json): Json {
  if (Array.isArray(value)) return value.map((item) => mapSecrets(item, change));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [
      key,
      key.startsWith('#') && (child === null || typeof child !== 'object')
        ? change(child, key)
        : mapSecrets(child, change),
    ]),
  );
}
