import { compactJson, RawJson, replaceScalars } from '../../lib/json-text.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { configurationErrors } from './configuration-errors.ts';

const MAX_BYTES = 4 * 1024 * 1024;

/** Turns what a client sent as configuration or state into what is stored: checked, compact, secrets as ciphers. */
export function toStoredText(
  text: string,
  what: 'configuration' | 'state',
  secrets: Secrets,
  scope: { projectId: number; componentId: string },
): RawJson {
  if (Buffer.byteLength(text) > MAX_BYTES) throw configurationErrors.tooLarge(what);
  const error = what === 'state' ? configurationErrors.invalidState : configurationErrors.invalidContent;
  let compact: string;
  try {
    compact = compactJson(text);
  } catch {
    // The parser's own words quote the text around the mistake, which may be a secret.
    throw error('it is not valid JSON, or nested too deeply');
  }
  if (!compact.startsWith('{') && !compact.startsWith('[')) throw error('it must be an object');
  return new RawJson(encryptSecrets(compact, secrets, scope));
}

/** Only values under `#` keys change; every other byte of the text stays. */
export function encryptSecrets(
  text: string,
  secrets: Secrets,
  scope: { projectId: number; componentId: string },
): string {
  return replaceScalars(text, (key, value) => {
    if (!key.startsWith('#')) return value;
    const member = secrets.encryptTree({ [key]: JSON.parse(value) }, scope) as Record<string, unknown>;
    return JSON.stringify(member[key]);
  });
}
