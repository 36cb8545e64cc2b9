import { AppError } from '../../../core/errors.ts';
import type { EventQuery } from '../../../core/events/event-model.ts';
import { parseQueryString, type QueryFilter, QuerySyntaxError } from '../../../lib/query-string.ts';
import { toCoreEventName, toCoreObjectType } from './event-shape.ts';

/** Fields of the search text; each means one member of the core's query. */
const FIELDS = {
  event: 'keyword',
  'token.id': 'keyword',
  objectId: 'keyword',
  objectType: 'keyword',
  idBranch: 'keyword',
  component: 'keyword',
  runId: 'keyword',
  configurationId: 'keyword',
} as const;

/** Matches nothing, for values that no event can have. */
const NEVER: EventQuery = { limit: 0 };

/**
 * `q=event:storage.tableCreated AND objectId:"in.c-a.b"`: what clients send are fields joined by AND, and that much is
 * understood. Anything else is refused instead of answered wrongly.
 */
export function parseEventQuery(text: string | undefined): EventQuery {
  if (text === undefined || text.trim() === '') return {};
  let filter: QueryFilter | undefined;
  try {
    filter = parseQueryString(text, { fields: FIELDS, freeText: 'message' });
  } catch (error) {
    if (error instanceof QuerySyntaxError) throw refused(error.message);
    throw error;
  }
  return filter === undefined ? {} : toEventQuery(filter);
}

function toEventQuery(filter: QueryFilter): EventQuery {
  if ('all' in filter) return joinQueries(filter.all.map(toEventQuery));
  if (!('op' in filter) || filter.op !== 'eq' || filter.values.length !== 1) {
    throw refused('only fields with plain values, joined by AND, can be searched');
  }
  const value = String(filter.values[0]);
  switch (filter.field) {
    case 'event': {
      const name = toCoreEventName(value);
      return name === undefined ? NEVER : { names: [name] };
    }
    case 'token.id':
      return /^\d{1,15}$/.test(value) ? { tokenId: Number(value) } : NEVER;
    case 'idBranch':
      return /^\d{1,15}$/.test(value) ? { branchId: Number(value) } : NEVER;
    case 'objectType':
      return { objectType: toCoreObjectType(value) };
    case 'objectId':
      return { objectId: value };
    case 'component':
      return { component: value };
    case 'runId':
      return { runId: value };
    case 'configurationId':
      return { configurationId: value };
    default:
      throw refused(`the field ${filter.field} cannot be searched`);
  }
}

function joinQueries(queries: readonly EventQuery[]): EventQuery {
  const joined: EventQuery = {};
  for (const query of queries) {
    if (Object.keys(query).some((key) => key !== 'limit' && Object.hasOwn(joined, key))) {
      throw refused('a field can be searched for one value only');
    }
    Object.assign(joined, query);
  }
  return joined;
}

function refused(reason: string): AppError {
  return new AppError('invalid', 'event.query-syntax', `Failed to parse query: ${reason}`);
}
