import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { componentErrors } from './component-errors.ts';
import { COMPONENT_TYPES, type ComponentDefinition, type ComponentType } from './component-model.ts';
import { knownConnectors, parseConnector } from './connector-model.ts';

const FOLLOW_MS = 1000;

/**
 * The components this server knows. Those with a folder of their own (`<folder>/<id>/component.json`) can run here;
 * the ones of `known.json` are ids that clients expect to find: they can be configured, and running one says that it
 * is not installed. They are read once at start. What an operator installs (`<installed>/<id>.json`, which names the
 * folder of its program below `installed`) takes the place of a known one, also while the server runs.
 */
export class Components {
  readonly #shipped: ComponentDefinition[];
  readonly #installed: string | undefined;
  #byId: Map<string, ComponentDefinition>;
  /** What the installed definitions looked like when they were last read. */
  #fingerprint = '';

  private constructor(shipped: ComponentDefinition[], installed: string | undefined) {
    this.#shipped = shipped;
    this.#installed = installed;
    this.#byId = byId(shipped);
  }

  /** Reads and checks all definitions; one error names every problem found. */
  static async load(folder: string, installed?: string): Promise<Components> {
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
    const components = new Components([...definitions.values()], installed);
    await components.refresh();
    return components;
  }

  /**
   * Reads what is installed again where it has changed. Throws with every problem, and nothing changes then: a server
   * goes on with what it knows.
   */
  async refresh(): Promise<void> {
    const folder = this.#installed;
    if (folder === undefined) return;
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
    const facts = await Promise.all(names.map((name) => stat(path.join(folder, name)).catch(() => undefined)));
    const fingerprint = JSON.stringify(names.map((name, index) => [name, facts[index]?.ino, facts[index]?.mtimeMs]));
    if (fingerprint === this.#fingerprint) return;
    // Also where it is refused below: the same mistake is told once, not every second.
    this.#fingerprint = fingerprint;
    const problems: string[] = [];
    const found: ComponentDefinition[] = [];
    for (const name of names) {
      const file = path.join(folder, name);
      const json = await readJson(file, problems);
      const program = isObject(json) && typeof json.directory === 'string' ? path.join(folder, json.directory) : '';
      const report = (problem: string) => problems.push(`${file}: ${problem}`);
      const definition = parseDefinition(json, program, report);
      if (this.#shipped.some(({ id, run }) => run !== undefined && id === definition.id))
        report(`${definition.id} comes with the server and cannot be replaced`);
      found.push(existsSync(program) ? inFolder(definition, program) : { ...definition, run: undefined });
    }
    if (problems.length > 0) throw new Error(`Installed components are invalid:\n  ${problems.join('\n  ')}`);
    this.#byId = byId([...this.#shipped, ...found]);
  }

  /** Looks every second; answers what ends that. */
  follow(onProblem: (error: unknown) => void): () => void {
    const timer = setInterval(() => void this.refresh().catch(onProblem), FOLLOW_MS);
    timer.unref();
    return () => clearInterval(timer);
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

/** Later ones win. */
function byId(definitions: ComponentDefinition[]): Map<string, ComponentDefinition> {
  const found = new Map(definitions.map((definition) => [definition.id, definition]));
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `{directory}` in a command stands for the folder of the program. */
function inFolder(definition: ComponentDefinition, directory: string): ComponentDefinition {
  const { run } = definition;
  if (!run || !('command' in run)) return definition;
  return { ...definition, run: { command: run.command.map((part) => part.replaceAll('{directory}', directory)) } };
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
    if (value.builtin === 'sql' || value.builtin === 'objects') return { builtin: value.builtin };
    const command = value.command;
    if (Array.isArray(command) && command.length > 0 && command.every((part) => typeof part === 'string')) {
      return { command };
    }
  }
  report('run must be {"builtin": "sql"}, {"builtin": "objects"} or {"command": ["program", ...]}');
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
