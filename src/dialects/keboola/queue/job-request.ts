import type { ComponentDefinition } from '../../../core/components/component-model.ts';
import type { NewRun } from '../../../core/components/component-runs.ts';
import type { RunInput } from '../../../core/components/run-definition.ts';
import { AppError, errors } from '../../../core/errors.ts';
import type { JobMode } from '../../../core/jobs/job-model.ts';
import { parseDate } from '../scalars.ts';
import { NO_OPTIONS, type QueueOptions, toQueueDate } from './job-shape.ts';

type Body = Record<string, unknown>;

const MODES: readonly JobMode[] = ['run', 'debug', 'forceRun'];
const TYPES = ['standard', 'container', 'phaseContainer', 'orchestrationContainer', 'retryContainer'];

/**
 * The body of `POST /jobs`. Null means absent everywhere; an empty list means an empty object, because PHP has only
 * one kind of array; ids come as texts or numbers; what we do not know is ignored, since clients send more than we read.
 */
export type JobRequest = {
  /** Undefined: the default branch. */
  branchId: string | undefined;
  run: Omit<NewRun, 'configData'>;
  /** Whether there is an inline configuration; its text is read from the request. */
  hasConfigData: boolean;
  options: QueueOptions;
};

export function parseJobRequest(body: Body, now: Date): JobRequest {
  const mode = text(body, 'mode') ?? 'run';
  if (!isMode(mode)) throw invalid('Mode must be one of "run", "forceRun" or "debug".');
  const type = text(body, 'type') ?? NO_OPTIONS.type;
  if (!TYPES.includes(type)) throw invalid(`Job type must be one of ${TYPES.map((one) => `"${one}"`).join(', ')}.`);
  // The others start further jobs instead of a program.
  if (type !== 'standard') throw errors.optionNotImplemented(`jobs of type ${type}`);
  const componentId = text(body, 'component') ?? '';
  if (componentId === '') throw invalid('The "component" parameter is required and must not be empty.');
  const availableAt = startTime(body, now);
  const branchId = text(body, 'branchId');
  return {
    branchId: branchId === undefined || branchId === '' || branchId === 'default' ? undefined : branchId,
    hasConfigData: isFilled(body, 'configData'),
    run: {
      componentId,
      configurationId: text(body, 'config') || undefined,
      rowIds: texts(body, 'configRowIds') ?? [],
      mode,
      tag: text(body, 'tag') || undefined,
      parentRunId: text(body, 'parentRunId') || undefined,
      availableAt,
      variableValuesId: text(body, 'variableValuesId') || undefined,
      variableValuesData: variableValues(body),
    },
    options: {
      deduplicationId: nonEmptyText(body, 'deduplicationId'),
      delayedStartTime: availableAt ? toQueueDate(availableAt) : null,
      // `type` is what was asked for; what becomes of it depends on the component.
      backend: { ...NO_OPTIONS.backend, type: requestedBackend(body) },
      executor: text(body, 'executor') ?? NO_OPTIONS.executor,
      behavior: { onError: onError(body) },
      parallelism: parallelism(body),
      type,
      orchestrationJobId: text(body, 'orchestrationJobId') ?? null,
      orchestrationTaskId: nonEmptyText(body, 'orchestrationTaskId'),
      orchestrationPhaseId: nonEmptyText(body, 'orchestrationPhaseId'),
      onlyOrchestrationTaskIds: taskIds(body),
      previousJobId: nonEmptyText(body, 'previousJobId'),
    },
  };
}

/**
 * The requested size means the container for a program that works on local files; a size for a database workspace is
 * kept apart. Sizes the caller gives for the container itself are ignored, as in the original.
 */
export function resolveBackend(
  requested: QueueOptions['backend'],
  definition: ComponentDefinition | undefined,
  projectId: number,
): QueueOptions['backend'] {
  const context = `${projectId}-${definition?.type ?? 'other'}`;
  const staging = definition?.data.staging_storage?.input ?? 'local';
  if (staging === 'workspace-snowflake') return { type: requested.type, containerType: null, context };
  return { type: null, containerType: staging.startsWith('workspace') ? null : requested.type, context };
}

function invalid(message: string): AppError {
  return new AppError('invalid', 'job.invalid', message);
}

function isMode(mode: string): mode is JobMode {
  return (MODES as string[]).includes(mode);
}

/** Scalars as text; undefined for null and absent. */
function text(body: Body, key: string): string | undefined {
  const value = body[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw invalid(`The "${key}" parameter must be a string.`);
}

function nonEmptyText(body: Body, key: string): string | null {
  const value = body[key];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') throw invalid(`Invalid "${key}": value must be a string`);
  if (value === '') throw invalid(`Invalid "${key}": value cannot be empty string`);
  return value;
}

function texts(body: Body, key: string): string[] | undefined {
  const value = body[key];
  if (value === undefined || value === null || value === '') return undefined;
  const list = Array.isArray(value) ? value : [value];
  return list.map((item) => {
    if (typeof item === 'string' || typeof item === 'number') return String(item);
    throw invalid(`The "${key}" parameter must be a list of strings.`);
  });
}

/** Whether the member says anything: absent, null and empty containers do not. */
function isFilled(body: Body, key: string): boolean {
  const value = body[key];
  if (value === undefined || value === null || value === '') return false;
  if (typeof value === 'object') return Object.keys(value).length > 0 || !Array.isArray(value);
  throw invalid(`The "${key}" parameter must be an object.`);
}

function object(body: Body, key: string): Body {
  const value = body[key];
  if (value === undefined || value === null || value === '') return {};
  if (typeof value !== 'object') throw invalid(`The "${key}" parameter must be an object.`);
  return value as Body;
}

function requestedBackend(body: Body): string | null {
  // One SDK sends the bare size.
  if (typeof body.backend === 'string') return body.backend || null;
  return text(object(body, 'backend'), 'type') ?? null;
}

function onError(body: Body): string | null {
  const value = text(object(body, 'behavior'), 'onError') ?? null;
  if (value !== null && !['stop', 'warning', 'fail'].includes(value)) {
    throw invalid('Behavior onError must be one of "stop", "warning", "fail" or null.');
  }
  return value;
}

function parallelism(body: Body): string | null {
  const value = text(body, 'parallelism') ?? null;
  if (value === null || value === 'infinity' || (/^\d{1,3}$/.test(value) && Number(value) <= 100)) return value;
  throw invalid('Parallelism value must be either null, an integer from range 2-100 or "infinity".');
}

function variableValues(body: Body): RunInput['variableValuesData'] {
  const values = object(body, 'variableValuesData').values ?? [];
  if (!Array.isArray(values)) throw invalid('Variable values must be a list.');
  return {
    values: values.map((item: unknown) => {
      const { name, value } = (item ?? {}) as { name?: unknown; value?: unknown };
      if (typeof name !== 'string' || name === '' || value === undefined || value === null || value === '') {
        throw invalid('Every variable value must have a non-empty name and a non-empty value.');
      }
      return { name, value: String(value) };
    }),
  };
}

function taskIds(body: Body): string[] | null {
  const list = body.onlyOrchestrationTaskIds;
  if (list === undefined || list === null) return null;
  const ids = texts(body, 'onlyOrchestrationTaskIds') ?? [];
  if (!Array.isArray(list) || ids.length === 0 || ids.includes('') || new Set(ids).size !== ids.length) {
    throw invalid('The "onlyOrchestrationTaskIds" parameter must be a list of unique, non-empty task ids.');
  }
  return ids;
}

function startTime(body: Body, now: Date): Date | undefined {
  const delay = text(body, 'delay');
  const delayedStartTime = text(body, 'delayedStartTime');
  if (delay !== undefined && delayedStartTime !== undefined) {
    throw invalid('delayedStartTime and delay cannot be set simultaneously.');
  }
  if (delayedStartTime !== undefined) {
    const date = parseDate(delayedStartTime, now);
    if (!date) throw invalid('The "delayedStartTime" parameter is not a valid date.');
    return date;
  }
  if (delay === undefined || delay === '') return undefined;
  if (!/^\d{1,9}$/.test(delay)) throw invalid('The "delay" parameter must be a number of seconds.');
  return new Date(now.getTime() + Number(delay) * 1000);
}
