import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import type { AppError } from '../../core/errors.ts';
import { compileSchema } from './validation.ts';

const schema = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 5 }),
  incremental: Type.Optional(Type.Boolean()),
  limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000, default: 100 })),
  columns: Type.Optional(Type.Array(Type.String(), { 'x-list': true })),
  stage: Type.Optional(Type.Union([Type.Literal('in'), Type.Literal('out')])),
  treatValuesAsNull: Type.Optional(Type.Array(Type.String(), { maxItems: 1 })),
  whereFilters: Type.Optional(Type.Array(Type.Object({ column: Type.String(), values: Type.Array(Type.String()) }))),
  options: Type.Optional(Type.Record(Type.String(), Type.Boolean())),
});

function run(value: unknown): { value?: unknown; error?: AppError } {
  const validate = compileSchema({ schema, method: 'POST', url: '/', httpPart: 'body' });
  return validate(value) as { value?: unknown; error?: AppError };
}

test('the same value is taken from JSON, a form and a Python literal', () => {
  const expected = { name: '1', incremental: true, limit: 5, columns: ['a', 'b'], stage: 'in' };
  assert.deepEqual(run({ name: 1, incremental: true, limit: 5, columns: ['a', 'b'], stage: 'in' }).value, expected);
  assert.deepEqual(run({ name: '1', incremental: 'True', limit: '5', columns: 'a,b', stage: 'in' }).value, expected);
});

test('null, an empty number and absence are the same, and unknown members fall away', () => {
  assert.deepEqual(run({ name: 'x', incremental: null, limit: '', columns: null, other: [1] }).value, {
    name: 'x',
    limit: 100,
  });
});

test('an empty map may arrive as a PHP array', () => {
  assert.deepEqual(run({ name: 'x', options: [] }).value, { name: 'x', options: {}, limit: 100 });
});

test('every problem is told, in the words and the shape of the original', () => {
  const problems: [unknown, string][] = [
    [{}, 'name: "This field is missing."'],
    [{ name: '' }, 'name: "This value should not be blank."'],
    [{ name: null }, 'name: "This field is missing."'],
    [{ name: { a: 1 } }, 'name: "This value should be of type string."'],
    [{ name: 'toolong' }, 'name: "This value is too long. It should have 5 characters or less."'],
    [{ name: 'x', limit: 1.5 }, 'limit: "This value should be of type integer."'],
    [{ name: 'x', limit: 1001 }, 'limit: "This value should be less than or equal to 1000."'],
    [{ name: 'x', whereFilters: [{ column: 'a' }] }, 'whereFilters[0][values]: "This field is missing."'],
    [
      { name: 'x', treatValuesAsNull: ['a', 'b'] },
      'treatValuesAsNull: "This collection should contain 1 element or less."',
    ],
    [{ name: 'x', columns: [null] }, 'columns[0]: "This value should not be blank."'],
  ];
  for (const [value, line] of problems) {
    const { error } = run(value);
    assert.equal(error?.message, `Invalid request:\n - ${line}`);
    const [key, message] = line.split(/: (?=")/);
    assert.deepEqual(error?.details, { errors: [{ key, message: JSON.parse(message ?? '') }] });
  }
  assert.equal(run({ limit: 'x' }).error?.message.split('\n').length, 3);
});

test('a wrong boolean has its own code', () => {
  const { error } = run({ name: 'x', incremental: 999987 });
  assert.equal(error?.code, 'request.not-boolean');
  assert.match(error?.message ?? '', /is not boolean\. Possible values are/);
});

test('members named like prototypes do no harm', () => {
  const value = run(JSON.parse('{"name":"x","__proto__":{"polluted":1},"constructor":1}')).value as object;
  assert.equal(Object.hasOwn(value, '__proto__'), false);
  assert.equal((value as Record<string, unknown>).polluted, undefined);
});
