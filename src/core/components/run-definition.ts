import type { Json } from '../../lib/json.ts';
import type { JobMode } from '../jobs/job-model.ts';
import { configurationErrors } from './configuration-errors.ts';
import type { Configuration } from './configuration-model.ts';

/** What a job of kind `component` keeps as its input. Secrets in it are ciphers. */
export type RunInput = {
  /** JSON text of an inline configuration, which takes the place of the stored one. */
  configData: string | null;
  /** Version of the stored configuration at the time the job was made: later changes do not touch the job. */
  configurationVersion: number | null;
  variableValuesId: string | null;
  variableValuesData: { values: { name: string; value: string }[] };
  /** What the dialect wants to show again and the platform does not act on. */
  options: { [key: string]: Json };
};

/** What to resolve; every job of kind `component` is one. */
export type RunRequest = {
  componentId: string;
  configurationId?: string | undefined;
  rowIds?: string[] | undefined;
  mode?: JobMode | undefined;
  input?: Partial<RunInput> | undefined;
};

/** One run of the component: a job has one, or one for each row. */
export type RunDefinition = {
  componentId: string;
  configurationId: string | undefined;
  rowId: string | undefined;
  /** Undefined for an inline configuration. */
  version: number | undefined;
  /** Root and row merged; secrets are ciphers. */
  configuration: { [key: string]: Json };
  /** The row's, or the configuration's where it has no rows; secrets are ciphers. */
  state: { [key: string]: Json };
  /** Something the job's log should say before this run. */
  notice: string | undefined;
};

/** An inline configuration has no rows, no version and no state to start from. */
export function defineInline(request: RunRequest, configData: string): RunDefinition[] {
  if (request.rowIds?.length) throw configurationErrors.noRowsFound(request.rowIds);
  return [
    {
      componentId: request.componentId,
      configurationId: request.configurationId,
      rowId: undefined,
      version: undefined,
      configuration: asObject(JSON.parse(configData)),
      state: {},
      notice: undefined,
    },
  ];
}

/** The runs of a stored configuration: itself, or its rows in their order, each merged over it. */
export function defineStored(request: RunRequest, configuration: Configuration): RunDefinition[] {
  const { componentId, rowIds = [] } = request;
  const root = asObject(configuration.configuration.parse());
  const base = { componentId, configurationId: configuration.id, version: configuration.version };
  if (configuration.rows.length === 0 && rowIds.length === 0) {
    return [
      {
        ...base,
        rowId: undefined,
        configuration: root,
        state: asObject(configuration.state.parse()),
        notice: undefined,
      },
    ];
  }
  const wanted = configuration.rows.filter((row) => (rowIds.length > 0 ? rowIds.includes(row.id) : !row.isDisabled));
  if (rowIds.length > 0 && wanted.length === 0) throw configurationErrors.noRowsFound(rowIds);
  return wanted.map((row) => {
    const own = asObject(row.configuration.parse());
    if (hasProcessors(root) && hasProcessors(own)) throw configurationErrors.processorsTwice();
    return {
      ...base,
      rowId: row.id,
      configuration: asObject(mergeByIndex(root, own)),
      state: asObject(row.state.parse()),
      notice: row.isDisabled
        ? `Force running disabled configuration: ${configuration.id}, version: ${configuration.version}, row: ${row.id}`
        : undefined,
    };
  });
}

/**
 * As the original does it (PHP's array_replace_recursive): objects are merged key by key, lists index by index, so a
 * shorter list of the row leaves the tail of the root's list in place. Anything else is replaced.
 */
export function mergeByIndex(root: Json, row: Json): Json {
  if (Array.isArray(root) && Array.isArray(row)) {
    return Array.from({ length: Math.max(root.length, row.length) }, (_, index) => mergeItem(root[index], row[index]));
  }
  if (isContainer(root) && isContainer(row)) {
    // An empty list is how PHP clients write an empty object.
    if (isEmpty(row)) return root;
    if (isEmpty(root) || Array.isArray(root) || Array.isArray(row)) return row;
    const merged: { [key: string]: Json } = { ...root };
    // Assigning this name would set the prototype instead.
    for (const [key, value] of Object.entries(row))
      if (key !== '__proto__') merged[key] = mergeItem(merged[key], value);
    return merged;
  }
  return row;
}

function mergeItem(root: Json | undefined, row: Json | undefined): Json {
  if (row === undefined) return root ?? null;
  return root === undefined ? row : mergeByIndex(root, row);
}

function hasProcessors(configuration: { [key: string]: Json }): boolean {
  const processors = configuration.processors;
  return isContainer(processors) && Object.values(processors).some((list) => isContainer(list) && !isEmpty(list));
}

function isContainer(value: Json | undefined): value is Json[] | { [key: string]: Json } {
  return typeof value === 'object' && value !== null;
}

function isEmpty(value: Json[] | { [key: string]: Json }): boolean {
  return Object.keys(value).length === 0;
}

function asObject(value: Json): { [key: string]: Json } {
  return isContainer(value) && !Array.isArray(value) ? value : {};
}
