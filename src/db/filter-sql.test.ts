import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import type { QueryFilter } from '../lib/query-string.ts';
import { type FilterColumn, filterToSql } from './filter-sql.ts';
import { sql } from './sql.ts';

const COLUMNS: Record<string, FilterColumn> = {
  id: { column: sql`id`, type: 'number' },
  name: { column: sql`name`, type: 'text' },
  tags: { column: sql`tags`, type: 'list' },
  at: { column: sql`at`, type: 'date' },
  done: { column: sql`done`, type: 'boolean' },
};

const cases: [string, QueryFilter, number[]][] = [
  ['nothing asked', { all: [] }, [1, 2, 3]],
  ['no choice', { any: [] }, []],
  ['one value', { field: 'id', op: 'eq', values: [2] }, [2]],
  ['one of several', { field: 'name', op: 'eq', values: ['a%b', 'none'] }, [1]],
  ['null', { field: 'name', op: 'eq', values: [null] }, [3]],
  ['null or a value', { field: 'name', op: 'eq', values: [null, 'Report_2'] }, [2, 3]],
  ['not a value: null is not it either', { field: 'name', op: 'ne', values: ['a%b'] }, [2, 3]],
  ['not null', { field: 'name', op: 'ne', values: [null] }, [1, 2]],
  ['not', { not: { field: 'name', contains: 'report' } }, [1, 3]],
  ['contains, whatever the case', { field: 'name', contains: 'REPORT' }, [2]],
  ['contains takes wildcards literally', { field: 'name', contains: '%' }, [1]],
  ['matches', { field: 'name', matches: 're*_?' }, [2]],
  ['matches whole values only', { field: 'name', matches: 'port*' }, []],
  ['an escaped wildcard is a character', { field: 'name', matches: 'a\\*b' }, []],
  ['a percent sign in a pattern is a character', { field: 'name', matches: 'a%b' }, [1]],
  ['one of a list', { field: 'tags', op: 'eq', values: ['y'] }, [1, 2]],
  ['none of a list', { field: 'tags', op: 'ne', values: ['x'] }, [2, 3]],
  ['pattern in a list', { field: 'tags', matches: 'Z*' }, [2]],
  ['numbers compare as numbers', { field: 'id', op: 'gt', values: ['1.5'] }, [2, 3]],
  ['dates', { field: 'at', op: 'lt', values: ['2024-02-01T00:00:00Z'] }, [1]],
  ['booleans', { field: 'done', op: 'eq', values: [true] }, [2]],
  [
    'both',
    {
      all: [
        { field: 'tags', op: 'eq', values: ['y'] },
        { field: 'id', op: 'le', values: [1] },
      ],
    },
    [1],
  ],
  [
    'either',
    {
      any: [
        { field: 'id', op: 'eq', values: [3] },
        { field: 'id', op: 'eq', values: [1] },
      ],
    },
    [1, 3],
  ],
];

test('filter trees select what they say', async (t) => {
  const db = await testDatabase(t);
  for (const [name, filter, ids] of cases) {
    const rows = await db.query<{ id: number }>(sql`
      select id from (values
        (1, 'a%b', array['x', 'y'], '2024-01-01'::timestamptz, false),
        (2, 'Report_2', array['y', 'zeta'], '2024-02-01'::timestamptz, true),
        (3, null, array[]::text[], '2024-03-01'::timestamptz, null)
      ) as t (id, name, tags, at, done)
      where ${filterToSql(filter, COLUMNS)} order by id`);
    assert.deepEqual(
      rows.map((row) => row.id),
      ids,
      name,
    );
  }
});

test('a field without a column is refused', () => {
  assert.throws(() => filterToSql({ field: 'constructor', op: 'eq', values: [1] }, COLUMNS));
});
