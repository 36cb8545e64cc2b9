import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../core/errors.ts';
import { formatDate, parseBoolean, parseDate, parseList } from './scalars.ts';

const now = new Date('2024-03-15T10:20:30.500Z');

test('booleans are read in every spelling that clients send', () => {
  for (const value of [true, 1, '1', 'true', 'True']) assert.equal(parseBoolean(value, 'force'), true);
  for (const value of [false, 0, '0', 'false', 'False', '']) assert.equal(parseBoolean(value, 'force'), false);
});

test('a value that is no boolean is refused by name', () => {
  for (const value of [999987, 'yes', 'TRUE', null, [], {}, 2]) {
    assert.throws(
      () => parseBoolean(value, 'force'),
      (error) => error instanceof AppError && /"force" is not boolean\. Possible values are/.test(error.message),
    );
  }
});

test('dates are written in UTC without fraction and without colon in the offset', () => {
  assert.equal(formatDate(new Date('2025-01-02T03:04:05.678Z')), '2025-01-02T03:04:05+0000');
});

test('dates are read as unix seconds, ISO and relative expressions', () => {
  const cases: [unknown, string][] = [
    [1360682361, '2013-02-12T15:19:21.000Z'],
    ['1360682361', '2013-02-12T15:19:21.000Z'],
    ['@1360682361', '2013-02-12T15:19:21.000Z'],
    ['2013-02-12T15:19:21+00:00', '2013-02-12T15:19:21.000Z'],
    ['2013-02-12T15:19:21+0100', '2013-02-12T14:19:21.000Z'],
    ['2013-02-12T15:19:21.250Z', '2013-02-12T15:19:21.250Z'],
    ['2013-02-12 15:19:21', '2013-02-12T15:19:21.000Z'],
    ['2013-02-12 15:19', '2013-02-12T15:19:00.000Z'],
    ['2013-02-12', '2013-02-12T00:00:00.000Z'],
    ['20130212', '2013-02-12T00:00:00.000Z'],
    ['2013-02-12 -2 days', '2013-02-10T00:00:00.000Z'],
    ['now', '2024-03-15T10:20:30.500Z'],
    ['-2 days', '2024-03-13T10:20:30.500Z'],
    ['-15 second', '2024-03-15T10:20:15.500Z'],
    ['+1 week 2 hours', '2024-03-22T12:20:30.500Z'],
    ['3 hours ago', '2024-03-15T07:20:30.500Z'],
    ['-1 month', '2024-02-15T10:20:30.500Z'],
    ['last year', '2023-03-15T10:20:30.500Z'],
    ['yesterday', '2024-03-14T00:00:00.000Z'],
    ['Today 12:30', '2024-03-15T12:30:00.000Z'],
    ['tomorrow noon', '2024-03-16T12:00:00.000Z'],
  ];
  for (const [text, expected] of cases) assert.equal(parseDate(text, now)?.toISOString(), expected, String(text));
});

test('what means no moment is no date', () => {
  for (const text of [
    '',
    'soon',
    '2024-13-01',
    '2024-02-31',
    '25:00',
    '12:61',
    '-2 parsecs',
    'yesterday or so',
    null,
    {},
  ]) {
    assert.equal(parseDate(text, now), undefined, JSON.stringify(text));
  }
});

test('lists come as commas or as arrays', () => {
  assert.deepEqual(parseList('a, b,,c'), ['a', 'b', 'c']);
  assert.deepEqual(parseList(['a', 1]), ['a', '1']);
  assert.deepEqual(parseList(undefined), []);
  assert.deepEqual(parseList(''), []);
});
