import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  claimLakeName,
  requireColumnNames,
  requireTableDisplayName,
  requireTableName,
  splitTableId,
  toBucketName,
  toColumnName,
  transliterate,
} from './names.ts';

test('column names: free text becomes letters, digits and underscores', () => {
  const cases: [text: string, name: string][] = [
    ['id', 'id'],
    ['language-id', 'language_id'],
    ['  Křestní jméno ', 'Krestni_jmeno'],
    ['_timestamp', 'timestamp'],
    ['__a__b__', 'a_b'],
    ['a.b;c', 'a_b_c'],
    ['Straße', 'Strasse'],
    ['Ærø', 'AEro'],
    ['Łódź', 'Lodz'],
    ['Москва', 'Moskva'],
    ['Ψυχή', 'Psychi'],
    ['ﬁne', 'fine'],
    ['１２', '12'],
    ['日本', ''],
    ['oid', 'oid_'],
    ['TableOID', 'TableOID_'],
    ['ctid', 'ctid_'],
    ['ctid2', 'ctid2'],
  ];
  for (const [text, name] of cases) assert.equal(toColumnName(text), name, text);
});

test('transliteration leaves plain text alone', () => {
  assert.equal(transliterate('plain text, 100 %'), 'plain text, 100 %');
});

test('a header with an empty, endless or repeated name is refused', () => {
  assert.deepEqual(requireColumnNames(['Id', 'id']), ['Id', 'id']);
  assert.throws(() => requireColumnNames(['a', '']), { code: 'table.invalid-column-name' });
  assert.throws(() => requireColumnNames(['???']), { code: 'table.invalid-column-name' });
  assert.throws(() => requireColumnNames(['x'.repeat(65)]), { code: 'table.invalid-column-name' });
  assert.equal(requireColumnNames(['x'.repeat(64)]).length, 1);
  assert.throws(() => requireColumnNames(['a-b', 'a_b']), { code: 'table.duplicate-columns' });
});

test('names of tables and buckets', () => {
  assert.throws(() => requireTableName(''), { message: 'Table create option "name" is required and cannot be empty.' });
  assert.throws(() => requireTableName('a.b'), {
    message: /^Invalid table name: 'a\.b' contains not allowed characters\./,
  });
  assert.throws(() => requireTableDisplayName('_x'), { message: /Cannot start with underscore\.$/ });
  assert.equal(toBucketName('main'), 'c-main');
  assert.equal(toBucketName('c-main'), 'c-main');
  assert.deepEqual(splitTableId('in.c-main.users'), { bucketId: 'in.c-main', name: 'users' });
  for (const id of ['languages', 'in.c-main', 'in.c-main.a.b', 'in..a', ''])
    assert.equal(splitTableId(id), undefined, id);
});

test('in the lake, names that differ by case alone get a number', () => {
  const taken = new Set<string>();
  assert.deepEqual(
    ['id', 'Id', 'ID', 'Id__2', 'name'].map((name) => claimLakeName(name, taken)),
    ['id', 'Id__2', 'ID__3', 'Id__2__2', 'name'],
  );
});
