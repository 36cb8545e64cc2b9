import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filesToCompact } from './compaction-plan.ts';
import type { LakeFile } from './lake-store.ts';

const MB = 1024 * 1024;

function file(id: number, megabytes: number, deletedRatio = 0): LakeFile {
  return {
    id,
    path: `/f${id}`,
    recordCount: 1000,
    sizeBytes: megabytes * MB,
    firstRowId: id * 1000,
    deleteFile: deletedRatio === 0 ? undefined : { id: 100 + id, path: `/d${id}`, deleteCount: 1000 * deletedRatio },
  };
}

const ids = (files: LakeFile[]) => filesToCompact(files).map(({ id }) => id);

test('few files stay as they are, many small ones become one', () => {
  assert.deepEqual(ids([1, 2, 3, 4, 5, 6, 7].map((id) => file(id, 0.1))), []);
  assert.deepEqual(ids([1, 2, 3, 4, 5, 6, 7, 8].map((id) => file(id, 0.1))), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('a large file is not written anew for the sake of small ones', () => {
  const small = [2, 3, 4, 5, 6, 7, 8, 9].map((id) => file(id, 0.1));
  assert.deepEqual(ids([file(1, 400), ...small]), [2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a file joins when the smaller ones together are as large as it is', () => {
  const files = [file(1, 30), ...[2, 3, 4, 5, 6, 7, 8, 9].map((id) => file(id, 4))];
  assert.deepEqual(ids(files), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(ids([file(1, 33), ...files.slice(1)]), [2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a large file with many deleted rows is written anew alone, a small one waits for company', () => {
  assert.deepEqual(ids([file(1, 100, 0.4), file(2, 0.1)]), [1]);
  assert.deepEqual(ids([file(1, 100, 0.2), file(2, 0.1, 0.9)]), []);
});

test('one compaction writes no more than a gigabyte of merged files', () => {
  const files = Array.from({ length: 12 }, (_, i) => file(i, 4 + i * 60));
  const total = filesToCompact(files).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  assert.ok(total <= 1024 * MB);
});
