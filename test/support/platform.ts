import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { type ConfigKey, loadConfig } from '../../src/config.ts';
import type { Credentials } from '../../src/core/projects/credentials.ts';
import { type Platform, startPlatform as start } from '../../src/platform.ts';
import { cleanup } from './cleanup.ts';
import { testConnection } from './database.ts';

export type TestPlatform = {
  url: string;
  dataDir: string;
  /** As in credentials.json. */
  credentials: Credentials & { url: string };
  platform: Platform;
};

export type TestPlatformOptions = {
  /** Settings that differ from the defaults. */
  config?: Partial<Record<ConfigKey, unknown>>;
  /** Whole roles, as `millrace serve --roles` takes them. */
  roles?: Parameters<typeof start>[0]['roles'];
  /** An own embedded PostgreSQL in the data directory instead of a database in the cluster of the test run. */
  embedded?: boolean;
};

/** A whole server in this process on a free port, with a data directory and a database of its own. Ends with the test. */
export async function startPlatform(t: TestContext, options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'millrace-platform-'));
  cleanup(t, () => rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }));
  const { config } = loadConfig({
    env: {},
    flags: {
      dataDirectory: dataDir,
      port: 0,
      databaseFsync: false,
      databaseUrl: options.embedded ? undefined : await databaseUrl(t),
      engineMemoryMb: 512,
      engineThreads: 2,
      ...options.config,
    },
  });
  const platform = await start({ config, ...(options.roles && { roles: options.roles }) });
  cleanup(t, () => platform.stop());
  const credentials = JSON.parse(readFileSync(platform.credentialsFile, 'utf8')) as TestPlatform['credentials'];
  return { url: platform.url ?? '', dataDir, credentials, platform };
}

/** The socket folder as an escaped host name, which is how a URL can name one. */
async function databaseUrl(t: TestContext): Promise<string> {
  const { host, user, database } = await testConnection(t);
  return `postgres://${user}@${encodeURIComponent(host)}/${database}`;
}
