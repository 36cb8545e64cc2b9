import { AppError } from '../../core/errors.ts';
import { parseQueryString, type QueryFields, type QueryFilter, QuerySyntaxError } from '../../lib/query-string.ts';

/** The `q` parameter of a listing as a filter tree; what is wrong with it is the caller's error. */
export function parseSearch(text: string | undefined, fields: QueryFields): QueryFilter | undefined {
  if (text === undefined) return undefined;
  try {
    return parseQueryString(text, fields);
  } catch (error) {
    if (error instanceof QuerySyntaxError)
      throw new AppError('invalid', 'query.syntax', error.message, { cause: error });
    throw error;
  }
}
