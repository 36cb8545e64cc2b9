import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseQueryString, type QueryFields, QuerySyntaxError } from './query-string.ts';

const FIELDS: QueryFields = {
  fields: {
    id: 'number',
    name: 'text',
    tags: 'keyword',
    created: { type: 'date', field: 'createdAt' },
    isSliced: 'boolean',
    'token.id': { type: 'number', field: 'tokenId' },
  },
  freeText: 'name',
};
const tag = (value: string) => ({ field: 'tags', op: 'eq', values: [value] });
const name = (value: string) => ({ field: 'name', contains: value });

const understood: [string, unknown][] = [
  ['', undefined],
  ['  ', undefined],
  ['id:123', { field: 'id', op: 'eq', values: [123] }],
  ['token.id:5', { field: 'tokenId', op: 'eq', values: [5] }],
  ['name:foo', name('foo')],
  ['name:foo*', { field: 'name', matches: 'foo*' }],
  ['name:a\\*b', name('a*b')],
  ['tags:"a b"', tag('a b')],
  ['tags:componentId-123', tag('componentId-123')],
  ['tags:"say \\"hi\\""', tag('say "hi"')],
  ['tags:"x" AND name:foo*', { all: [tag('x'), { field: 'name', matches: 'foo*' }] }],
  ['tags:a && tags:b', { all: [tag('a'), tag('b')] }],
  ['+tags:a -tags:b', { all: [tag('a'), { not: tag('b') }] }],
  ['+tags:a tags:c -tags:b', { all: [tag('a'), { not: tag('b') }] }],
  ['tags:a tags:b', { any: [tag('a'), tag('b')] }],
  ['-tags:a', { not: tag('a') }],
  ['NOT tags:a', { not: tag('a') }],
  ['tags:a AND NOT tags:b', { all: [tag('a'), { not: tag('b') }] }],
  ['tags:a AND !tags:b', { all: [tag('a'), { not: tag('b') }] }],
  ['tags:a OR tags:b AND tags:c', { any: [tag('a'), { all: [tag('b'), tag('c')] }] }],
  ['(tags:a OR tags:b) AND tags:c', { all: [{ any: [tag('a'), tag('b')] }, tag('c')] }],
  ['tags:(a OR b)', { any: [tag('a'), tag('b')] }],
  ['report 2024', { any: [name('report'), name('2024')] }],
  ['"my report"', name('my report')],
  [
    'id:[5 TO 10]',
    {
      all: [
        { field: 'id', op: 'ge', values: [5] },
        { field: 'id', op: 'le', values: [10] },
      ],
    },
  ],
  ['id:{5 TO *}', { all: [{ field: 'id', op: 'gt', values: [5] }] }],
  ['id:>=5', { field: 'id', op: 'ge', values: [5] }],
  ['created:>2024-02-01', { field: 'createdAt', op: 'gt', values: ['2024-02-01T00:00:00.000Z'] }],
  ['isSliced:true', { field: 'isSliced', op: 'eq', values: [true] }],
  ['name:*', { all: [] }],
  ['a - b', { any: [name('a'), name('-'), name('b')] }],
];
for (const [text, tree] of understood) {
  test(`query "${text}" is understood`, () => assert.deepEqual(parseQueryString(text, FIELDS), tree));
}

const refused = [
  'tags:"open',
  '(tags:a',
  'tags:a)',
  'tags:',
  'AND tags:a',
  'tags:a AND',
  'tags:a OR',
  'id:abc',
  'created:someday',
  'unknown:1',
  'constructor:1',
  'id:[1 TO',
  'id:>',
  '()',
  `${'('.repeat(50)}a${')'.repeat(50)}`,
  'a '.repeat(600),
  'a'.repeat(9000),
];
for (const text of refused) {
  test(`query "${text.slice(0, 20)}" is refused with a reason`, () => {
    assert.throws(
      () => parseQueryString(text, FIELDS),
      (error) => error instanceof QuerySyntaxError && error.message.endsWith('.'),
    );
  });
}
