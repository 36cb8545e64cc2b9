import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../src/lib/package-root.ts';

/**
 * Who may import whom (ARCHITECTURE.md). A new edge is a line in this table, seen in review.
 * Keys and values are path prefixes below src/; the longest matching key decides.
 */
const allowed: Record<string, string[]> = {
  'lib/': ['lib/'],
  'config.ts': ['lib/', 'core/errors.ts'],
  'core/': [
    'core/',
    'lib/',
    'db/sql.ts',
    'db/filter-sql.ts',
    'db/database.ts',
    'drivers/engines/contract.ts',
    'drivers/runtimes/contract.ts',
    'drivers/filestores/contract.ts',
    'drivers/provisioners/contract.ts',
  ],
  'db/': ['db/', 'lib/', 'core/errors.ts'],
  'drivers/': ['lib/', 'core/errors.ts'],
  'drivers/engines/': ['drivers/engines/', 'lib/', 'core/errors.ts'],
  'drivers/runtimes/': ['drivers/runtimes/', 'lib/', 'core/errors.ts'],
  'drivers/filestores/': ['drivers/filestores/', 'lib/', 'core/errors.ts'],
  // Its PostgreSQL is started by the same parts as the metadata's.
  'drivers/provisioners/': ['drivers/provisioners/', 'lib/', 'core/errors.ts', 'db/embedded-postgres.ts'],
  'drivers/registry.ts': ['drivers/', 'lib/', 'core/errors.ts'],
  'runner/': [
    'runner/',
    'core/',
    'lib/',
    'db/database.ts',
    'drivers/engines/contract.ts',
    'drivers/runtimes/contract.ts',
    'drivers/filestores/contract.ts',
  ],
  'dialects/airbyte/': ['dialects/airbyte/', 'core/', 'lib/'],
  'dialects/syncano/': ['dialects/syncano/', 'core/', 'lib/'],
  'dialects/keboola/': ['dialects/keboola/', 'core/', 'lib/', 'config.ts'],
  'http/': ['http/', 'dialects/', 'core/', 'lib/', 'config.ts'],
  'platform.ts': [''],
  'platform/': [''],
  'cli/': ['cli/', 'lib/', 'config.ts', 'platform.ts', 'core/errors.ts', 'db/', 'drivers/'],
  'main.ts': ['cli/'],
};

const source = path.join(packageRoot, 'src');
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.split(path.sep).join('/'));

function importsOf(file: string): string[] {
  const text = readFileSync(path.join(source, file), 'utf8');
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) => {
    const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), match[1] ?? ''));
    return target;
  });
}

function ruleFor(file: string): [string, string[]] {
  const key = Object.keys(allowed)
    .filter((prefix) => file.startsWith(prefix))
    .sort((a, b) => b.length - a.length)[0];
  assert.ok(key !== undefined, `src/${file} lies outside of every folder the architecture knows`);
  return [key, allowed[key] ?? []];
}

test('imports follow the architecture table', () => {
  const broken: string[] = [];
  for (const file of files) {
    // Tests beside the source may use the test support and whatever real parts they need.
    if (file.endsWith('.test.ts')) continue;
    const [, targets] = ruleFor(file);
    for (const target of importsOf(file)) {
      if (!targets.some((prefix) => target.startsWith(prefix))) broken.push(`src/${file} imports src/${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('a core folder uses another folder through its operations or model, never through its store', () => {
  const broken: string[] = [];
  for (const file of files) {
    const folder = /^core\/([^/]+)\//.exec(file)?.[1];
    if (folder === undefined || file.endsWith('.test.ts')) continue;
    for (const target of importsOf(file)) {
      const other = /^core\/([^/]+)\/.*-store\.ts$/.exec(target)?.[1];
      if (other !== undefined && other !== folder) broken.push(`src/${file} imports src/${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('only config.ts reads the environment of the process', () => {
  const readers = files.filter(
    (file) =>
      file !== 'config.ts' &&
      !file.endsWith('.test.ts') &&
      readFileSync(path.join(source, file), 'utf8').includes('process.env'),
  );
  assert.deepEqual(readers, []);
});

test('SQL on the metadata database stands only in stores and db/', () => {
  const offenders = files.filter((file) => {
    if (file.startsWith('db/') || file.endsWith('-store.ts') || file.endsWith('.test.ts')) return false;
    return /from '[./]*(?:\.\.\/)*db\/sql\.ts'/.test(readFileSync(path.join(source, file), 'utf8'));
  });
  assert.deepEqual(offenders, []);
});

test('the core speaks no dialect words', () => {
  const words = /\b(keboola|airbyte|syncano|syrup)\b/i;
  const offenders = files.filter((file) => {
    if (!file.startsWith('core/') || file.endsWith('.test.ts')) return false;
    // The file it describes is one for all dialects, and names them.
    if (file === 'core/projects/credentials.ts') return false;
    const code = readFileSync(path.join(source, file), 'utf8')
      .split('\n')
      // Comments may say where a rule comes from, and component ids carry their vendor's name.
      .filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line))
      .map((line) => line.replace(/\/\/.*$/, '').replace(/'[^']*\bkeboola\.[^']*'/g, "''"))
      .join('\n');
    return words.test(code);
  });
  assert.deepEqual(offenders, []);
});
