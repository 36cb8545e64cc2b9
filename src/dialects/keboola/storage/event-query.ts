import { AppError } from '../../../core/errors.ts';
import { EVENT_QUERY_FIELDS } from '../../../core/events/event-model.ts';
import { parseQueryString, type QueryFilter, QuerySyntaxError } from '../../../lib/query-string.ts';
import { toCoreEventName, toCoreObjectType } from './event-shape.ts';

/** Matches nothing, for values that no event can have. */
const NEVER: QueryFilter = { any: [] };

/** `q=event:storage.tableCreated AND (objectId:"in.c-a.b" OR token.id:12)` in the words of the core. */
export function parseEventQuery(text: string | undefined): QueryFilter | undefined {
  if (text === undefined) return undefined;
  try {
    const filter = parseQueryString(text, EVENT_QUERY_FIELDS);
    return filter && toCoreFilter(filter);
  } catch (error) {
    if (!(error instanceof QuerySyntaxError)) throw error;
    throw new AppError('invalid', 'event.query-syntax', `Failed to parse query "${text}": ${error.message}`, {
      cause: error,
    });
  }
}

/** Events and objects have other names in the core. */
function toCoreFilter(filter: QueryFilter): QueryFilter {
  if ('all' in filter) return { all: filter.all.map(toCoreFilter) };
  if ('any' in filter) return { any: filter.any.map(toCoreFilter) };
  if ('not' in filter) return { not: toCoreFilter(filter.not) };
  if (filter.field !== 'event' && filter.field !== 'objectType') return filter;
  if (!('op' in filter) || filter.op !== 'eq') {
    throw new QuerySyntaxError(`The field "${filter.field}" takes whole values only.`);
  }
  const values = filter.values.map(String);
  if (filter.field === 'objectType') return { ...filter, values: values.map(toCoreObjectType) };
  return { any: values.map(toNamed) };
}

function toNamed(value: string): QueryFilter {
  const name = toCoreEventName(value);
  if (name === undefined) return NEVER;
  const named: QueryFilter = { field: 'event', op: 'eq', values: [name] };
  // Reported ones are named after who reports: ext.<component>.<configuration, if any>
  const [, component, configurationId] = (name === 'ext' && /^ext\.(.+)\.([^.]*)$/.exec(value)) || [];
  if (component === undefined) return named;
  return {
    all: [
      named,
      { field: 'component', op: 'eq', values: [component] },
      { field: 'configurationId', op: 'eq', values: [configurationId || null] },
    ],
  };
}
