import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { ensurePrivateFile, readIfThere, writePrivateFile } from './private-file.ts';

function file(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-private-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return path.join(folder, 'secret');
}

test('a private file is replaced as a whole and only its owner can read it', (t) => {
  const target = file(t);
  writePrivateFile(target, 'one');
  writePrivateFile(target, 'two');
  assert.equal(readFileSync(target, 'utf8'), 'two');
  assert.equal(statSync(target).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(path.dirname(target)), ['secret']);
});

test('a private file that exists is kept', (t) => {
  const target = file(t);
  assert.equal(readIfThere(target), undefined);
  assert.equal(
    ensurePrivateFile(target, () => 'one'),
    'one',
  );
  assert.equal(
    ensurePrivateFile(target, () => 'two'),
    'one',
  );
  assert.equal(readIfThere(target), 'one');
  assert.deepEqual(readdirSync(path.dirname(target)), ['secret']);
});
