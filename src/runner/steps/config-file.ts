import type { Json } from '../../lib/json.ts';
import { runErrors } from '../run-errors.ts';
import { parseStorageMapping, type StorageMapping } from './storage-mapping.ts';

type Container = { [key: string]: Json };

/** Every key the root of a configuration may have; the value says whether programs get to see it. */
const rootKeys: Record<string, boolean> = {
  parameters: true,
  runtime: false,
  variables_id: true,
  variables_values_id: true,
  shared_code_id: true,
  shared_code_row_ids: true,
  image_parameters: true,
  storage: true,
  authorization: true,
  action: true,
  processors: false,
  artifacts: true,
};

export type RuntimeSettings = {
  processTimeoutSeconds: number | undefined;
  containerType: string | undefined;
  context: string | undefined;
};

export type CheckedConfiguration = { configuration: Container; storage: StorageMapping; runtime: RuntimeSettings };

/** Checks what does not depend on the component. Keys this version does not act on are refused, never ignored. */
export function checkConfiguration(configuration: Container): CheckedConfiguration {
  for (const key of Object.keys(configuration)) {
    if (key in rootKeys) continue;
    const known = Object.keys(rootKeys).map((name) => `"${name}"`);
    throw runErrors.configuration(
      `Unrecognized option "${key}" under "container". Available options are ${known.join(', ')}.`,
    );
  }
  const processors = asMap(configuration.processors);
  if (asList(processors.before).length + asList(processors.after).length > 0) throw runErrors.unsupported('processors');
  for (const [name, section] of Object.entries(asMap(configuration.artifacts))) {
    if (asMap(section).enabled === true) throw runErrors.unsupported(`artifacts.${name}`);
  }
  const oauth = asMap(asMap(configuration.authorization).oauth_api);
  if (oauth.id !== undefined && oauth.credentials === undefined)
    throw runErrors.unsupported('authorization.oauth_api.id');
  const action = configuration.action ?? 'run';
  if (action !== 'run') throw runErrors.unsupported(`action: ${JSON.stringify(action)}`);
  return {
    configuration,
    storage: parseStorageMapping(configuration.storage),
    runtime: checkRuntime(asMap(configuration.runtime)),
  };
}

function checkRuntime(runtime: Container): RuntimeSettings {
  const timeout = runtime.process_timeout ?? undefined;
  if (timeout !== undefined && !Number.isInteger(timeout)) {
    throw runErrors.configuration(
      'Invalid configuration for path "container.runtime.process_timeout": must be "null" or "int"',
    );
  }
  if (typeof timeout === 'number' && timeout <= 0) {
    throw runErrors.configuration(
      'Invalid configuration for path "container.runtime.process_timeout": must be greater than 0',
    );
  }
  if (runtime.use_file_storage_only === true) throw runErrors.unsupported('runtime.use_file_storage_only');
  const backend = asMap(runtime.backend);
  if (backend.workspace_credentials !== undefined) throw runErrors.unsupported('runtime.backend.workspace_credentials');
  const text = (value: Json | undefined) => (typeof value === 'string' ? value : undefined);
  return {
    processTimeoutSeconds: typeof timeout === 'number' ? timeout : undefined,
    containerType: text(backend.type),
    context: text(backend.context),
  };
}

/**
 * The object in config.json: the user's keys in their order, what the component and the platform add, and the sections
 * that must not be missing.
 */
export function configObject(checked: CheckedConfiguration, imageParameters: Container): Container {
  const { configuration, storage, runtime } = checked;
  const result: Container = {};
  for (const [key, value] of Object.entries(configuration)) {
    if (rootKeys[key] && key !== 'image_parameters')
      result[key] = key === 'storage' ? (storage as unknown as Json) : value;
  }
  result.image_parameters = imageParameters;
  if (runtime.context !== undefined)
    result.authorization = { ...asMap(result.authorization), context: runtime.context };
  result.action ??= 'run';
  result.shared_code_row_ids ??= [];
  for (const section of ['parameters', 'storage', 'image_parameters', 'authorization']) {
    if (result[section] === undefined || isEmpty(result[section])) result[section] = {};
  }
  return result;
}

/** JSON as PHP prints it, which is what components were tested with: four spaces, `\/`, and nothing beyond ASCII. */
export function printJson(value: Json): string {
  return JSON.stringify(value, null, 4)
    .replaceAll('/', '\\/')
    .replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A component's own secrets must not be read out by writing them into a configuration that prints them. */
export function assertNoComponentSecrets(imageParameters: Container, configuration: Container): void {
  const secrets = new Set<Json>();
  walkSecrets(imageParameters, [], (_, value) => secrets.add(value));
  if (secrets.size === 0) return;
  walkSecrets(configuration, [], (path, value) => {
    if (secrets.has(value)) throw runErrors.secretReused(path.join('.'));
  });
}

function walkSecrets(value: Json, path: string[], visit: (path: string[], value: Json) => void): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    const inner = [...path, key];
    if (key.startsWith('#') && typeof child !== 'object' && child !== '') visit(inner, child);
    else walkSecrets(child, inner, visit);
  }
}

export function asMap(value: Json | undefined): Container {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

export function asList(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

function isEmpty(value: Json): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}

/** Memory in MB, from Docker's notation and the size of the container asked for. */
export function memoryLimitMb(memory: string | undefined, containerType: string | undefined): number {
  const match = /^(\d+)(m|g)$/i.exec(memory ?? '256m');
  if (!match) throw runErrors.crashed(`Component definition is invalid: memory "${memory}"`);
  const megabytes = Number(match[1]) * (match[2]?.toLowerCase() === 'g' ? 1000 : 1);
  return Math.floor(megabytes * (memoryFactors[containerType ?? 'small'] ?? 1));
}

const memoryFactors: Record<string, number> = { xsmall: 0.5, small: 1, medium: 2, large: 7.1 };

const maxTimeoutSeconds = 86_400;

export function timeoutSeconds(component: number | undefined, runtime: RuntimeSettings): number {
  if (runtime.processTimeoutSeconds !== undefined) return Math.min(runtime.processTimeoutSeconds, maxTimeoutSeconds);
  // 0 in a component's definition stands for the default.
  return component || 3600;
}
