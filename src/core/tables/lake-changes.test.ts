import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findConflict, formatChanges, parseChanges } from './lake-changes.ts';

test('changes are written in the order and quoting of the format', () => {
  assert.equal(
    formatChanges([
      { kind: 'inserted_into_table', id: 7 },
      { kind: 'created_table', schema: 'in.c-a', name: 'we"ird,name' },
      { kind: 'altered_table', id: 7 },
      { kind: 'altered_table', id: 7 },
    ]),
    'created_table:"in.c-a"."we""ird,name",inserted_into_table:7,altered_table:7',
  );
});

test('what stock clients write is read back', () => {
  assert.deepEqual(parseChanges('created_table:"in.c-a"."we""ird,name",inserted_into_table:7,merge_adjacent:12'), [
    { kind: 'created_table', names: ['in.c-a', 'we"ird,name'] },
    { kind: 'inserted_into_table', id: 7 },
    { kind: 'merge_adjacent', id: 12 },
  ]);
  assert.deepEqual(parseChanges(null), []);
  assert.deepEqual(parseChanges(''), []);
  assert.throws(() => parseChanges('inserted_into_table:'));
  assert.throws(() => parseChanges('created_table:"a"."b"garbage'));
});

test('who disturbs whom', () => {
  const append = { inserts: true, deletes: false, alters: false };
  const upsert = { inserts: true, deletes: true, alters: false };
  const alter = { inserts: false, deletes: false, alters: true };
  const cases: [intent: typeof append, theirs: string, disturbs: boolean][] = [
    [append, 'inserted_into_table:1', false],
    [append, 'deleted_from_table:1', true],
    [append, 'altered_table:1', true],
    [append, 'dropped_table:1', true],
    [append, 'dropped_table:2', false],
    [append, 'merge_adjacent:1', false],
    [upsert, 'inserted_into_table:1', true],
    [upsert, 'merge_adjacent:1', true],
    [upsert, 'rewrite_delete:1', true],
    [upsert, 'inserted_into_table:2', false],
    [alter, 'inserted_into_table:1', false],
    [alter, 'altered_table:1', true],
    [alter, 'created_table:"main"."1"', false],
  ];
  for (const [intent, theirs, disturbs] of cases) {
    assert.equal(
      findConflict(1, intent, parseChanges(theirs)) !== undefined,
      disturbs,
      `${JSON.stringify(intent)} ${theirs}`,
    );
  }
});
