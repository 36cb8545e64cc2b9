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

/** What the metadata database can answer besides; engines take a `Filter`. */
export type RecordFilter =
  | Filter
  | { all: RecordFilter[] }
  | { any: RecordFilter[] }
  | { not: RecordFilter }
  /** The whole value; `*` stands for any text, `?` for one character, `\` takes the next as it is. Ignores case. */
  | { field: string; matches: string }
  /** The whole value; `%` stands for any text, `_` for one character, `\` takes the next as it is. */
  | { field: string; like: string; ignoresCase: boolean }
  /** Lists that have all of the values. */
  | { field: string; hasAll: (string | number | boolean)[] }
  /** Points closer than so many kilometres to the given one. */
  | { field: string; near: { longitude: number; latitude: number; kilometers: number } }
  /** Leads to a record for which the filter holds. */
  | { field: string; refersTo: RecordFilter };

/** A page of a list with a key of its own: the rows after a place, or (`back`) those before it, in the list's order. */
export type KeysetPage<Key extends string | number> = {
  limit: number;
  after?: Key | undefined;
  back?: boolean | undefined;
  isDescending?: boolean | undefined;
};

export type Order = { field: string; direction: 'asc' | 'desc'; cast?: 'integer' | 'double' };
