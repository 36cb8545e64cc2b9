/**
 * The one filter tree. Every listing and every row filter, in all dialects, is turned into this shape at the
 * dialect's edge; stores and engines turn it into SQL at theirs.
 */
export type Comparison = 'eq' | 'ne' | 'gt' | 'ge' | 'lt' | 'le';

export type Filter =
  | { all: Filter[] }
  | { any: Filter[] }
  | { not: Filter }
  /** `eq`/`ne` with several values mean IN / NOT IN; the others use the first value only. */
  | { field: string; op: Comparison; values: (string | number | boolean | null)[]; cast?: 'integer' | 'double' }
  /** Case-insensitive substring match. */
  | { field: string; contains: string };

export type Order = { field: string; direction: 'asc' | 'desc'; cast?: 'integer' | 'double' };
