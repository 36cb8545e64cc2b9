import type { Components } from '../../../core/components/components.ts';
import { AppError } from '../../../core/errors.ts';
import type { Actor } from '../../../core/identity/actor.ts';
import type { DateRange, JobFilter, JobMode, JobPage } from '../../../core/jobs/job-model.ts';
import { JOB_STATUSES, type JobStatus } from '../../../core/jobs/job-status.ts';
import { parseDate } from '../scalars.ts';
import { QUEUE_STATUSES, TERMINATING } from './job-shape.ts';

type Query = Record<string, unknown>;

const MAX_LIMIT = 500;
const DEFAULT_LIMIT = 100;

const ORDERS: Record<string, NonNullable<JobPage['order']>['field']> = {
  id: 'id',
  runId: 'runId',
  projectId: 'id',
  branchId: 'branchId',
  componentId: 'componentId',
  configId: 'configurationId',
  tokenDescription: 'tokenDescription',
  status: 'status',
  createdTime: 'createdAt',
  updatedTime: 'createdAt',
  startTime: 'startedAt',
  endTime: 'finishedAt',
  durationSeconds: 'durationSeconds',
};

/**
 * Filters of `GET /search/jobs`: several values of one member are alternatives, several members hold together. `filter`
 * is undefined when nothing can match, for example because another project was asked for.
 */
export function parseJobQuery(
  query: Query,
  context: { actor: Actor; components: Components; defaultBranchId: number; now: Date },
): { filter: JobFilter | undefined; page: JobPage } {
  const { actor, components, defaultBranchId, now } = context;
  const list = (key: string, alias?: string) => values(query, key) ?? (alias ? values(query, alias) : undefined);
  const parts: [keyof JobFilter, unknown[] | undefined][] = [
    ['ids', numbers(list('id'))],
    ['runIds', list('runId')],
    ['parentRunIds', list('parentRunId')],
    [
      'branchIds',
      numbers(list('branchId')?.map((id) => (['null', 'default', ''].includes(id) ? String(defaultBranchId) : id))),
    ],
    ['tokenIds', numbers(list('tokenId'))],
    ['tokenDescriptions', list('tokenDescription')],
    ['componentIds', intersect(list('componentId', 'component'), ofTypes(components, query))],
    ['configurationIds', list('configId', 'config')],
    ['configurationRowIds', list('configRowIds')],
    ['modes', modes(list('mode'))],
    ['statuses', intersect(statuses(list('status')), desiredStatuses(list('desiredStatus')))],
    ['tags', list('tag')],
  ];
  const isImpossible =
    parts.some(([, found]) => found?.length === 0) ||
    list('type')?.includes('standard') === false ||
    list('projectId')?.includes(String(actor.projectId)) === false ||
    // Jobs with a values row are not made here yet.
    list('variableValuesId') !== undefined;
  const filter: JobFilter = {
    isRun: true,
    ...Object.fromEntries(parts.filter(([, found]) => found !== undefined)),
    ...range(query, 'created', 'createdTime', now),
    ...range(query, 'started', 'startTime', now),
    ...range(query, 'finished', 'endTime', now),
    ...durationRange(query),
  };
  return { filter: isImpossible ? undefined : filter, page: parsePage(query) };
}

function parsePage(query: Query): JobPage {
  const sortBy = values(query, 'sortBy')?.[0] ?? 'id';
  const field = Object.hasOwn(ORDERS, sortBy) ? ORDERS[sortBy] : undefined;
  if (!field) throw invalid(`Jobs cannot be sorted by "${sortBy}". Use one of: ${Object.keys(ORDERS).join(', ')}.`);
  const direction = (values(query, 'sortOrder')?.[0] ?? 'desc').toLowerCase();
  if (direction !== 'asc' && direction !== 'desc') throw invalid('The sort order must be "asc" or "desc".');
  return {
    limit: wholeNumber(query, 'limit', DEFAULT_LIMIT, 1, MAX_LIMIT),
    offset: wholeNumber(query, 'offset', 0, 0, Number.MAX_SAFE_INTEGER),
    order: { field, direction },
  };
}

function invalid(message: string): AppError {
  return new AppError('invalid', 'job.invalid-query', message);
}

/** `x=a`, `x[]=a&x[]=b` and `x[0]=a` alike; undefined when the member is not there. What no text can be matches nothing. */
function values(query: Query, key: string): string[] | undefined {
  const value = query[key];
  if (value === undefined || value === null) return undefined;
  return (typeof value === 'object' ? Object.values(value) : [value])
    .map(String)
    .filter((text) => !text.includes('\0'));
}

/** Texts that are no numbers match nothing. */
function numbers(texts: string[] | undefined): number[] | undefined {
  return texts?.filter((text) => /^\d{1,15}$/.test(text)).map(Number);
}

function intersect<T>(one: T[] | undefined, other: T[] | undefined): T[] | undefined {
  if (!one || !other) return one ?? other;
  return one.filter((item) => other.includes(item));
}

function ofTypes(components: Components, query: Query): string[] | undefined {
  const properties = query.componentProps;
  const types = typeof properties === 'object' && properties !== null ? values(properties as Query, 'type') : undefined;
  // People and clients write the plural.
  const wanted = types?.map((type) => type.replace(/s$/, ''));
  return wanted && components.list().flatMap(({ id, type }) => (wanted.includes(type) ? [id] : []));
}

function modes(texts: string[] | undefined): JobMode[] | undefined {
  return texts?.filter((text): text is JobMode => ['run', 'debug', 'forceRun'].includes(text));
}

function statuses(texts: string[] | undefined): JobStatus[] | undefined {
  if (!texts) return undefined;
  const known = [...Object.values(QUEUE_STATUSES), 'warning'];
  const unknown = texts.find((text) => !known.includes(text));
  if (unknown !== undefined) throw invalid(`Unknown status "${unknown}". Use one of: ${known.join(', ')}.`);
  return JOB_STATUSES.filter((status) => texts.includes(QUEUE_STATUSES[status]));
}

function desiredStatuses(texts: string[] | undefined): JobStatus[] | undefined {
  if (!texts) return undefined;
  return JOB_STATUSES.filter((status) => texts.includes(TERMINATING.includes(status) ? 'terminating' : 'processing'));
}

function range(query: Query, name: 'created' | 'started' | 'finished', key: string, now: Date): JobFilter {
  const from = date(query, `${key}From`, now);
  const to = date(query, `${key}To`, now);
  const found: DateRange = { ...(from && { from }), ...(to && { to }) };
  return Object.keys(found).length === 0 ? {} : { [name]: found };
}

function date(query: Query, key: string, now: Date): Date | undefined {
  const text = values(query, key)?.[0];
  if (text === undefined || text === '') return undefined;
  const parsed = parseDate(text, now);
  if (!parsed) throw invalid(`The "${key}" parameter is not a valid date.`);
  return parsed;
}

function durationRange(query: Query): JobFilter {
  const bound = (key: string) => {
    const text = values(query, key)?.[0];
    return text === undefined || text === '' ? undefined : wholeNumber(query, key, 0, 0, 2 ** 31);
  };
  const from = bound('durationSecondsFrom');
  const to = bound('durationSecondsTo');
  if (from === undefined && to === undefined) return {};
  return { durationSeconds: { ...(from !== undefined && { from }), ...(to !== undefined && { to }) } };
}

function wholeNumber(query: Query, key: string, fallback: number, min: number, max: number): number {
  const text = values(query, key)?.[0];
  if (text === undefined || text === '') return fallback;
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max)) throw invalid(`The "${key}" parameter must be between ${min} and ${max}.`);
  return number;
}
