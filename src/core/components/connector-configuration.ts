import { Errors } from 'typebox/schema';
import type { Json } from '../../lib/json.ts';
import type { ComponentDefinition } from './component-model.ts';
import { connectorErrors } from './connector-errors.ts';
import type { ConnectorFacts, JsonSchema } from './connector-model.ts';

/**
 * Configurations of connectors as people send and see them, and as they are stored. Stored secrets stand under keys
 * with a `#` before them, like those of every component, so that one secret store encrypts, decrypts and hides them.
 */
export type ConnectorConfiguration = { [key: string]: Json };

/** What stands in place of a secret. Whoever sends it back (eight stars or more) means the secret that is stored. */
const MASK = '************';
const ANY_MASK = /^\*{8,}$/;

/** For connectors whose specification we do not have: better one secret too many than one in the clear. */
const SECRET_NAME =
  /(pass(word|phrase|wd)?|secret|(?<!page_|next_)token|api_?key|private_?key|ssh_?key|account_?key|shared_?key|client_?key|sas_?token|credentials_json|service_account(_json|_info)?|access_?key|connection_string)$/i;

/** Throws connector.invalid-configuration with every violation. */
export function assertFitsSpecification(definition: ComponentDefinition, value: ConnectorConfiguration): void {
  const { specification, isOpen } = factsOf(definition);
  if (isOpen) return;
  const [fits, problems] = Errors(specification, value);
  if (fits) return;
  const lines = problems.map(({ instancePath, message }) => `$${instancePath.replaceAll('/', '.')}: ${message}`);
  throw connectorErrors.invalidConfiguration(lines);
}

/** The stored form of what a client sent. `stored`: what masked secrets stand for. */
export function toStored(
  definition: ComponentDefinition,
  sent: ConnectorConfiguration,
  stored: ConnectorConfiguration,
): ConnectorConfiguration {
  const facts = factsOf(definition);
  const walk = (value: Json, schemas: JsonSchema[], kept: Json | undefined, path: string): Json => {
    if (Array.isArray(value)) {
      const items = schemas.flatMap((schema) => schemasOf(schema.items));
      return value.map((item, index) =>
        walk(item, items, Array.isArray(kept) ? kept[index] : undefined, `${path}[${index}]`),
      );
    }
    if (!isObject(value)) return value;
    const before = isObject(kept) ? kept : {};
    const result: ConnectorConfiguration = {};
    for (const [key, child] of Object.entries(value)) {
      const place = `${path}.${key}`;
      if (key.startsWith('#')) throw connectorErrors.invalidConfiguration([`${place}: keys must not begin with "#"`]);
      const inner = schemas.flatMap((schema) => schemasOf(asSchema(schema.properties)[key]));
      if (!isSecret(facts, key, inner, child)) result[key] = walk(child, inner, before[key], place);
      else result[`#${key}`] = secretToStore(child, before[`#${key}`], place);
    }
    return result;
  };
  return walk(sent, schemasOf(facts.specification), stored, '$') as ConnectorConfiguration;
}

/** The stored form as everybody may see it. */
export function toMasked(stored: Json): Json {
  return withoutMarks(stored, (value) => (value === '' || value === null ? value : MASK));
}

/** The stored form as the program gets it; `reveal` where secrets in it are ciphers. */
export function toPlain(stored: Json, reveal: (secret: Json) => Json = (secret) => secret): Json {
  return withoutMarks(stored, reveal);
}

/** Members of objects one by one, everything else replaced. */
export function mergeConfiguration(
  base: ConnectorConfiguration,
  patch: ConnectorConfiguration,
): ConnectorConfiguration {
  const merged = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    const before = merged[key];
    merged[key] = isObject(value) && isObject(before) ? mergeConfiguration(before, value) : value;
  }
  return merged;
}

function isSecret(facts: ConnectorFacts, key: string, schemas: JsonSchema[], value: Json): boolean {
  if (schemas.some((schema) => schema.airbyte_secret === true)) return true;
  return facts.isOpen && SECRET_NAME.test(key) && typeof value === 'string';
}

function secretToStore(value: Json, stored: Json | undefined, place: string): Json {
  // Anything else would be stored as it is.
  if (typeof value !== 'string' && value !== null)
    throw connectorErrors.invalidConfiguration([`${place}: a secret must be a text`]);
  if (value === null || !ANY_MASK.test(value)) return value;
  // Otherwise the stars themselves would become the secret.
  if (stored === undefined) throw connectorErrors.invalidConfiguration([`${place}: there is no stored secret to keep`]);
  return stored;
}

function withoutMarks(value: Json, show: (secret: Json) => Json): Json {
  if (Array.isArray(value)) return value.map((item) => withoutMarks(item, show));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) =>
      key.startsWith('#') ? [key.slice(1), show(child)] : [key, withoutMarks(child, show)],
    ),
  );
}

/** A schema with all its branches: what is a secret in any of them is one. */
function schemasOf(value: Json | undefined): JsonSchema[] {
  if (!isObject(value)) return [];
  const branches = ['oneOf', 'anyOf', 'allOf'].flatMap((key) => {
    const list = value[key];
    return Array.isArray(list) ? list : [];
  });
  return [value, ...branches.flatMap((branch) => schemasOf(branch))];
}

function factsOf(definition: ComponentDefinition): ConnectorFacts {
  if (!definition.connector) throw new Error(`${definition.id} is no connector`);
  return definition.connector;
}

const asSchema = (value: Json | undefined): JsonSchema => (isObject(value) ? value : {});

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
