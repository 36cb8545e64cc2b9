import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { describeConfig, loadConfig, renderConfigReference } from './config.ts';
import { AppError } from './core/errors.ts';

function yaml(t: TestContext, content: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-config-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'millrace.yaml');
  writeFileSync(file, content);
  return file;
}

test('no key is required', () => {
  const { config, sources } = loadConfig({ env: {} });
  assert.equal(config.host, '127.0.0.1');
  assert.equal(config.port, 8000);
  assert.deepEqual(config.hostSuffixes, ['localhost']);
  assert.equal(config.databaseUrl, undefined);
  assert.equal(sources.port, 'default');
  assert.ok(Object.isFrozen(config));
});

test('a flag wins over the environment, the environment over the file, the file over the default', (t) => {
  const file = yaml(t, 'port: 1\nhost: 0.0.0.1\nlogLevel: warn\n');
  const { config, sources } = loadConfig({
    file,
    env: { MILLRACE_PORT: '2', MILLRACE_HOST: '0.0.0.2' },
    flags: { port: '3' },
  });
  assert.deepEqual([config.port, config.host, config.logLevel], [3, '0.0.0.2', 'warn']);
  assert.deepEqual(
    [sources.port, sources.host, sources.logLevel, sources.runtime],
    ['flag', 'environment', 'file', 'default'],
  );
});

test('every problem is reported at once', (t) => {
  const file = yaml(t, 'prot: 1\nengineThreads: many\n');
  const load = () =>
    loadConfig({
      file,
      env: { MILLRACE_PORT: '99999', MILLRACE_ENCRYPTION_KEY: 'short', DATABASE_URL: 'mysql://root:hunter2@db/x' },
      flags: { runtime: 'docker', tlsKey: file },
    });
  assert.throws(load, (error: unknown) => {
    assert.ok(error instanceof AppError);
    for (const word of [
      'prot in',
      'engineThreads in',
      'MILLRACE_PORT',
      'MILLRACE_ENCRYPTION_KEY',
      'DATABASE_URL',
      '--runtime',
      'tlsCert',
    ]) {
      assert.ok(error.message.includes(word), `${word} is missing in: ${error.message}`);
    }
    assert.ok(!error.message.includes('hunter2'));
    return true;
  });
});

test('a file that was asked for must be there and be YAML', (t) => {
  assert.throws(() => loadConfig({ file: '/does/not/exist.yaml', env: {} }), /does not exist/);
  assert.throws(() => loadConfig({ file: yaml(t, 'a: [1'), env: {} }), /not valid YAML/);
  assert.throws(() => loadConfig({ file: yaml(t, '- 1'), env: {} }), /keys and values/);
  assert.equal(loadConfig({ file: yaml(t, ''), env: {} }).config.port, 8000);
});

test('an empty variable is the same as none', () => {
  assert.equal(loadConfig({ env: { MILLRACE_PORT: '' } }).config.port, 8000);
});

test('secrets are masked when the configuration is shown', () => {
  const key = Buffer.alloc(32, 7).toString('base64');
  const loaded = loadConfig({
    env: { MILLRACE_ENCRYPTION_KEY: key, DATABASE_URL: 'postgres://me:hunter2@db/x', MILLRACE_MANAGE_TOKEN: 'abc' },
  });
  assert.equal(loaded.config.encryptionKey, key);
  const shown = JSON.stringify(describeConfig(loaded));
  assert.ok(!shown.includes(key) && !shown.includes('hunter2') && !shown.includes('"abc"'));
  assert.ok(shown.includes('postgres://me:*****@db/x'));
});

test('the reference names every key', () => {
  const reference = renderConfigReference();
  for (const { key } of describeConfig(loadConfig({ env: {} }))) assert.ok(reference.includes(`| \`${key}\` |`));
});
