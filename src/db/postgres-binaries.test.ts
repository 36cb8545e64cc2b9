import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { findPostgresBinaries, linkLibraries } from './postgres-binaries.ts';

/** A package as npm unpacks it when install scripts are off. */
function unpacked(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-binaries-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const native = path.join(folder, 'package', 'native');
  mkdirSync(path.join(native, 'lib'), { recursive: true });
  writeFileSync(path.join(native, 'lib', 'libpq.so.5.18'), '');
  const links = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }];
  writeFileSync(path.join(native, 'pg-symlinks.json'), JSON.stringify(links));
  return native;
}

test('links that npm did not make are made in the package', (t) => {
  const native = unpacked(t);
  const fallback = path.join(native, '..', '..', 'scratch');
  for (let i = 0; i < 2; i++) assert.equal(linkLibraries(native, fallback), undefined);
  assert.equal(readlinkSync(path.join(native, 'lib', 'libpq.so.5')), 'libpq.so.5.18');
  assert.equal(existsSync(fallback), false);
});

test('where the package is not ours to write, links go to the scratch folder', (t) => {
  if (process.getuid?.() === 0) return t.skip('needs an ordinary user: root may write everywhere');
  const native = unpacked(t);
  const fallback = path.join(native, '..', '..', 'scratch');
  chmodSync(path.join(native, 'lib'), 0o500);
  t.after(() => chmodSync(path.join(native, 'lib'), 0o700));
  assert.equal(linkLibraries(native, fallback), `${fallback}:${path.join(native, 'lib')}`);
  assert.equal(readlinkSync(path.join(fallback, 'libpq.so.5')), path.join(native, 'lib', 'libpq.so.5.18'));
});

test('the installed package has the programs of one major version', () => {
  const binaries = findPostgresBinaries(tmpdir());
  assert.equal(binaries.major, '18');
  for (const program of [binaries.initdb, binaries.postgres]) assert.ok(existsSync(program), program);
});
