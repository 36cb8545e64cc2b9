import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { openDuckdbEngine } from '../../src/drivers/engines/duckdb/index.ts';
import { silentLogger } from '../../src/lib/logger.ts';
import { engineSessionsConformance } from './engine-session-suite.ts';
import { engineTablesConformance } from './engine-suite.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'millrace-engine-'));
const duckdb = await openDuckdbEngine({
  directory: path.join(folder, 'engine'),
  memoryLimitMb: 1000,
  threads: 2,
  spillDirectory: path.join(folder, 'spill'),
  log: silentLogger,
});
after(async () => {
  await duckdb.close();
  await rm(folder, { recursive: true, force: true });
});

engineTablesConformance('duckdb', async () => duckdb);
engineSessionsConformance('duckdb', async () => duckdb);
