import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { componentErrors } from './component-errors.ts';
import { COMPONENT_TYPES, type ComponentDefinition, type ComponentType } from './component-model.ts';
import { knownConnectors, parseConnector } from './connector-model.ts';

/**
 * The components this server knows. Those with a folder of their own (`<folder>/<id>/component.json`) can run here;
 * the ones of `known.json` are ids that clients expect to find: they can be configured, and running one says that it
 * is not installed. Read once at start: a definition never changes under a running server.
 */
export class Components {
  readonly #byId: Map<string, ComponentDefinition>;

  private constructor(definitions: ComponentDefinition[]) {
    this.#byId = new Map(definitions.map((definition) => [definition.id, definition]));
  }

  /** Reads and checks all definitions; one error names every problem found. */
  static async load(folder: string): Promise<Components> {
    const problems: string[] = [];
    const definitions = new Map<string, ComponentDefinition>();
    const add = (json: unknown, file: string, directory?: string) => {
      const before = problems.length;
      const definition = parseDefinition(json, directory, (problem) => problems.push(`${file}: ${problem}`));
      if (problems.length > before) return;
      if (definitions.has(definition.id)) problems.push(`${file}: second definition of ${definition.id}`);
      definitions.set(definition.id, definition);
    };
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const file = path.join(folder, entry.name, 'component.json');
      add(await readJson(file, problems), file, path.dirname(file));
      if (!definitions.has(entry.name)) problems.push(`${file}: its id is not the name of its folder`);
    }
    const known = path.join(folder, 'known.json');
    const list = await readJson(known, problems);
    for (const json of Array.isArray(list) ? list : []) add(json, known);
    const connectors = path.join(folder, 'known-connectors.json');
    if (existsSync(connectors)) {
      for (const json of knownConnectors(await readJson(connectors, problems))) add(json, connectors);
    }
    if (problems.length > 0) throw new Error(`Component definitions are invalid:\n  ${problems.join('\n  ')}`);
    return new Components([...definitions.values()].sort((a, b) => (a.id < b.id ? -1 : 1)));
  }

  /** Every definition, ordered by id. */
  list(): ComponentDefinition[] {
    return [...this.#byId.values()];
  }

  find(componentId: string): ComponentDefinition | undefined {
    return this.#byId.get(componentId);
  }

  /** Throws component.not-found. */
  get(componentId: string): ComponentDefinition {
    const definition = this.find(componentId);
    if (!definition) throw componentErrors.notFound(componentId);
    return definition;
  }
}

async function readJson(file: string, problems: string[]): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    problems.push(`${file}: ${(error as Error).message}`);
    return undefined;
  }
}

function parseDefinition(
  json: unknown,
  directory: string | undefined,
  report: (problem: string) => void,
): ComponentDefinition {
  const source = isObject(json) ? json : {};
  const name = typeof source.id === 'string' ? source.id : 'definition';
  const text = (key: string, fallback?: string): string => {
    const value = source[key] ?? fallback;
    if (typeof value !== 'string' || (value === '' && fallback === undefined)) report(`${name}: ${key} must be a text`);
    return String(value);
  };
  const list = (key: string): string[] => {
    const value = source[key] ?? [];
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    report(`${name}: ${key} must be a list of texts`);
    return [];
  };
  const object = (key: string): Record<string, unknown> => {
    const value = source[key] ?? {};
    if (isObject(value)) return value;
    report(`${name}: ${key} must be an object`);
    return {};
  };
  const type = text('type') as ComponentType;
  if (!COMPONENT_TYPES.includes(type)) report(`${name}: unknown type ${type}`);
  return {
    id: text('id'),
    type,
    name: text('name'),
    description: text('description', ''),
    longDescription: text('longDescription', ''),
    documentationUrl: typeof source.documentationUrl === 'string' ? source.documentationUrl : null,
    flags: list('flags'),
    features: list('features'),
    categories: list('categories'),
    data: object('data'),
    configurationSchema: object('configurationSchema'),
    configurationRowSchema: object('configurationRowSchema'),
    createConfigurationRowSchema: object('createConfigurationRowSchema'),
    emptyConfiguration: object('emptyConfiguration'),
    emptyConfigurationRow: object('emptyConfigurationRow'),
    uiOptions: object('uiOptions'),
    run: parseRun(source.run, (problem) => report(`${name}: ${problem}`)),
    directory,
    servicePath: typeof source.path === 'string' ? source.path : undefined,
    connector: parseConnector(source.connector, (problem) => report(`${name}: ${problem}`)),
  };
}

function parseRun(value: unknown, report: (problem: string) => void): ComponentDefinition['run'] {
  if (value === undefined) return undefined;
  if (isObject(value)) {
    if (value.builtin === 'sql') return { builtin: 'sql' };
    const command = value.command;
    if (Array.isArray(command) && command.length > 0 && command.every((part) => typeof part === 'string')) {
      return { command };
    }
  }
  report('run must be {"builtin": "sql"} or {"command": ["program", ...]}');
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
