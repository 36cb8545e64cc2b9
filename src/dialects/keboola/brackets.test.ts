import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUrlEncoded } from './brackets.ts';

test('bracketed names become one nested structure', () => {
  const cases: [string, unknown][] = [
    ['', {}],
    ['a=1&b=&c', { a: '1', b: '', c: '' }],
    ['a=1&a=2', { a: '2' }],
    ['tags[]=a&tags[]=b', { tags: ['a', 'b'] }],
    ['bucketPermissions[in.c-x]=read', { bucketPermissions: { 'in.c-x': 'read' } }],
    [
      'input[0][source]=x&input[0][destination]=y&input[1][source]=z',
      { input: [{ source: 'x', destination: 'y' }, { source: 'z' }] },
    ],
    ['whereFilters[0][values][]=1&whereFilters[0][values][]=2', { whereFilters: [{ values: ['1', '2'] }] }],
    ['columnsMetadata[id][0][key]=k', { columnsMetadata: { id: [{ key: 'k' }] } }],
    ['a[1]=x', { a: { 1: 'x' } }],
    ['a[0]=x&a[2]=y', { a: { 0: 'x', 2: 'y' } }],
    ['a%5B%5D=x+y%20z', { a: ['x y z'] }],
    ['a=100%&b=%zz', { a: '100%', b: '%zz' }],
    ['name=%C5%99', { name: 'ř' }],
    ['a=1&a[b]=2', { a: { b: '2' } }],
    ['[x]=1', { '[x]': '1' }],
    ['a[b=1', { a: '1' }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseUrlEncoded(text), expected, text);
});

test('no name reaches a prototype', () => {
  const parsed = parseUrlEncoded('__proto__[polluted]=1&constructor[prototype][polluted]=1&a[__proto__][polluted]=1');
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  assert.equal(Object.hasOwn(parsed, '__proto__'), false);
});

test('bytes that are not UTF-8 are refused', () => {
  assert.throws(() => parseUrlEncoded('a=%ff%fe'), RangeError);
});

test('many repeated items are read in linear time', () => {
  const started = performance.now();
  const parsed = parseUrlEncoded('a[]=x&'.repeat(200_000));
  assert.equal((parsed.a as string[]).length, 200_000);
  assert.ok(performance.now() - started < 3000);
});

test('items beside a key that is no index are read in linear time', () => {
  const parsed = parseUrlEncoded(`a[x]=1&${'a[]=x&'.repeat(200_000)}`);
  assert.equal(Object.keys(parsed.a as object).length, 200_001);
});

test('a small body cannot ask for millions of containers', () => {
  assert.throws(() => parseUrlEncoded(`a${'[]'.repeat(60)}=x&`.repeat(20_000)), { code: 'request.too-large' });
});
