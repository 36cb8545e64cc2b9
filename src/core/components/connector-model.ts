import type { Json } from '../../lib/json.ts';

/** What a connector reads from, or writes to. */
export type ConnectorRole = 'source' | 'destination';

/** How a destination treats the rows it has when new ones come. */
export const DESTINATION_MODES = ['append', 'overwrite', 'append_dedup', 'overwrite_dedup'] as const;
export type DestinationMode = (typeof DESTINATION_MODES)[number];

/** What makes a component a connector: a program that exchanges records with others over its standard streams. */
export type ConnectorFacts = {
  role: ConnectorRole;
  /** UUID by which clients know the connector in every installation. */
  uuid: string;
  /** Short name: `stripe`. */
  slug: string;
  /** Name and version of the package the original is shipped as. */
  image: string;
  version: string;
  /** Clients know the connector by its UUID and short name in every installation. */
  isKnown: boolean;
  /** JSON Schema of the configuration; secrets are marked by `airbyte_secret`. */
  specification: JsonSchema;
  /** Without a specification of its own: anything is taken, and secrets are known by their names. */
  isOpen: boolean;
  /** Destinations only. */
  modes: DestinationMode[];
  /** The program leaves its rows in out/tables, and the platform loads them into tables of the tenant. */
  leavesTables: boolean;
  /** The program may read the folders that the operator has opened for it. */
  readsLocalFiles: boolean;
};

export type JsonSchema = { [key: string]: Json };

/** The connector member of a definition file; undefined where there is none. */
export function parseConnector(value: unknown, report: (problem: string) => void): ConnectorFacts | undefined {
  if (value === undefined) return undefined;
  const source = isObject(value) ? value : {};
  const text = (key: string): string => {
    const found = source[key];
    if (typeof found !== 'string' || found === '') report(`connector.${key} must be a text`);
    return String(found);
  };
  if (source.role !== 'source' && source.role !== 'destination') report('connector.role must be source or destination');
  const modes = (Array.isArray(source.modes) ? source.modes : ['append', 'overwrite', 'append_dedup']) as string[];
  for (const mode of modes) {
    if (!DESTINATION_MODES.includes(mode as DestinationMode)) report(`connector.modes: unknown mode ${mode}`);
  }
  return {
    role: source.role as ConnectorRole,
    uuid: text('uuid'),
    slug: text('slug'),
    image: text('image'),
    version: text('version'),
    isKnown: source.isKnown === true,
    specification: isObject(source.specification)
      ? (withoutForeignPatterns(source.specification as JsonSchema) as JsonSchema)
      : { type: 'object' },
    isOpen: source.specification === undefined,
    modes: modes as DestinationMode[],
    leavesTables: source.leavesTables === true,
    readsLocalFiles: source.readsLocalFiles === true,
  };
}

/** Connectors are written in other languages: what is no regular expression here cannot be checked here. */
function withoutForeignPatterns(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(withoutForeignPatterns);
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => key !== 'pattern' || typeof value !== 'string' || isPattern(value))
      .map(([key, value]) => [key, withoutForeignPatterns(value)]),
  );
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, 'u') instanceof RegExp;
  } catch {
    return false;
  }
}

/** Definitions from the short list of connectors that people know and that are not installed here. */
export function knownConnectors(list: unknown): object[] {
  return (Array.isArray(list) ? list : []).filter(isObject).map(({ id, role, slug, name, uuid, image }) => ({
    id,
    type: role === 'source' ? 'extractor' : 'writer',
    name,
    description: role === 'source' ? `Reads from ${name}` : `Writes to ${name}`,
    connector: { role, uuid, slug, image, version: 'latest', isKnown: true },
  }));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
