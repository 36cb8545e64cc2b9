import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, rmSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Config } from '../config.ts';
import { chooseLauncher, findPostgresBinaries, findProgram } from '../db/postgres-binaries.ts';
import { runtimes } from '../drivers/registry.ts';
import { isLoopback } from '../lib/loopback.ts';
import { type ConfigFlags, loadFromFlags } from './options.ts';
import { printLine } from './output.ts';

export type Finding = {
  name: string;
  result: 'ok' | 'warn' | 'fail';
  detail: string;
  /** What to do about it. */
  remedy?: string;
};

type Check = (config: Config) => Finding | Promise<Finding>;

const checks: Check[] = [
  checkNode,
  checkPostgres,
  checkScheduler,
  checkDuckdb,
  checkSandbox,
  checkPython,
  checkData,
  checkDisk,
  checkPort,
];
const WANTED_DISK_GB = 2;

/** One line per check; exit code 1 when something is in the way of starting. */
export async function doctor(options: ConfigFlags): Promise<void> {
  const { config } = loadFromFlags(options);
  const findings: Finding[] = [];
  for (const check of checks) {
    findings.push(await Promise.resolve(check(config)).catch((error: unknown) => failed(check.name, error)));
  }
  if (options.json) printLine(JSON.stringify(findings));
  else for (const finding of findings) printLine(formatFinding(finding));
  if (findings.some(({ result }) => result === 'fail')) process.exitCode = 1;
}

export function formatFinding({ result, name, detail, remedy }: Finding): string {
  return `${result.padEnd(4)} ${name}: ${detail}${detail.endsWith('.') ? '' : '.'}${remedy ? ` ${remedy}` : ''}`;
}

function failed(name: string, error: unknown): Finding {
  return { name: name.replace(/^check/, '').toLowerCase(), result: 'fail', detail: String((error as Error).message) };
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isNew = major > 20 || (major === 20 && minor >= 20);
  const detail = `version ${process.versions.node}`;
  if (isNew) return { name: 'node', result: 'ok', detail };
  return { name: 'node', result: 'fail', detail, remedy: 'Install Node 20.20 or newer.' };
}

async function checkPostgres(config: Config): Promise<Finding> {
  const name = 'postgres';
  if (config.databaseUrl !== undefined) return checkExternalPostgres(config.databaseUrl);
  const scratch = mkdtempSync(path.join(tmpdir(), 'millrace-doctor-'));
  try {
    const binaries = findPostgresBinaries(scratch);
    const cluster = path.join(config.dataDirectory, 'postgres');
    const ownerUid = existsSync(cluster) ? statSync(cluster).uid : undefined;
    const launcher = chooseLauncher({ binaries, ownerUid, createUser: false });
    return { name, result: 'ok', detail: `embedded PostgreSQL ${binaries.version} runs ${launcher.description}` };
  } catch (error) {
    return { name, result: 'fail', detail: (error as Error).message };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function checkExternalPostgres(url: string): Promise<Finding> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => {
    // Told by the call that failed.
  });
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string }>("select current_setting('server_version') as version");
    return { name: 'postgres', result: 'ok', detail: `DATABASE_URL answers, version ${rows[0]?.version}` };
  } catch (error) {
    const remedy = 'Check the URL, and that the server runs and lets this machine in.';
    return { name: 'postgres', result: 'fail', detail: `DATABASE_URL: ${(error as Error).message}`, remedy };
  } finally {
    await client.end().catch(() => {});
  }
}

/** Whether times can be reckoned in any zone, and whether anybody carries schedules out. */
async function checkScheduler({ databaseUrl }: Config): Promise<Finding> {
  const name = 'scheduler';
  const zones = Intl.supportedValuesOf('timeZone').length;
  if (zones < 100) {
    const remedy = 'Use a Node.js with full time zone data (full-icu).';
    return { name, result: 'warn', detail: `only ${zones} time zones are known`, remedy };
  }
  const overdue = databaseUrl === undefined ? 0 : await countOverdue(databaseUrl);
  if (overdue > 0) {
    const remedy = 'Start a process with the role scheduler: millrace serve --roles scheduler';
    return { name, result: 'warn', detail: `${overdue} schedules are overdue`, remedy };
  }
  return { name, result: 'ok', detail: `${zones} time zones are known, no schedule is overdue` };
}

/** None where the database does not answer or is empty: that is for others to tell. */
async function countOverdue(url: string): Promise<number> {
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on('error', () => {
    // Told by the call that failed.
  });
  try {
    await client.connect();
    const query =
      "select count(*)::int as count from millrace.schedules where next_run_at < now() - interval '1 minute'";
    return (await client.query<{ count: number }>(query)).rows[0]?.count ?? 0;
  } catch {
    return 0;
  } finally {
    await client.end().catch(() => {});
  }
}

async function checkDuckdb(): Promise<Finding> {
  try {
    const { version } = await import('@duckdb/node-api');
    return { name: 'duckdb', result: 'ok', detail: `version ${version()}` };
  } catch (error) {
    const remedy = 'Run "npm ci" on this machine (the module is made for one system and processor).';
    return {
      name: 'duckdb',
      result: 'fail',
      detail: `does not load: ${(error as Error).message.split('\n')[0]}`,
      remedy,
    };
  }
}

/** Asks the runtime itself, so that doctor and server never disagree. */
async function checkSandbox(config: Config): Promise<Finding> {
  const name = 'bubblewrap';
  const { openProcessRuntime } = await runtimes.process();
  const runtime = await openProcessRuntime({ mode: 'bubblewrap', log: { warn() {} } });
  try {
    await runtime.check();
    return { name, result: 'ok', detail: 'components run in a sandbox' };
  } catch (error) {
    const isNeeded = config.runtime === 'bubblewrap' || (config.runtime === 'auto' && !isLoopback(config.host));
    return { name, result: isNeeded ? 'fail' : 'warn', detail: (error as Error).message };
  }
}

function checkPython(): Finding {
  const program = findProgram('python3');
  const result = program ? spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 10_000 }) : undefined;
  if (result?.status === 0) return { name: 'python3', result: 'ok', detail: result.stdout.trim() };
  return {
    name: 'python3',
    result: 'warn',
    detail: 'not found in /usr/bin; Python transformations cannot run',
    remedy: 'Install it, for example with: apt-get install python3',
  };
}

function checkData({ dataDirectory }: Config): Finding {
  const name = 'data';
  const found = statSync(dataDirectory, { throwIfNoEntry: false });
  const target = found ? dataDirectory : existingParent(dataDirectory);
  try {
    accessSync(target, constants.W_OK | constants.X_OK);
  } catch {
    const remedy = 'Give the folder to this user, or name another one with --data.';
    return { name, result: 'fail', detail: `${target} is not writable`, remedy };
  }
  if (!found) return { name, result: 'ok', detail: `${dataDirectory} will be made` };
  if (found.mode & 0o066) {
    const detail = `${dataDirectory} can be read by other users (mode ${(found.mode & 0o777).toString(8)})`;
    return { name, result: 'warn', detail, remedy: `Close it with: chmod 700 ${dataDirectory}` };
  }
  return { name, result: 'ok', detail: dataDirectory };
}

function checkDisk({ dataDirectory }: Config): Finding {
  const { bavail, bsize } = statfsSync(existingParent(dataDirectory));
  const freeGb = (bavail * bsize) / 1024 ** 3;
  const detail = `${freeGb.toFixed(1)} GB free`;
  if (freeGb >= WANTED_DISK_GB) return { name: 'disk', result: 'ok', detail };
  return {
    name: 'disk',
    result: 'warn',
    detail,
    remedy: 'Free some space, or put the data directory on another disk.',
  };
}

async function checkPort({ host, port }: Config): Promise<Finding> {
  const name = 'port';
  const problem = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const probe = createServer();
    probe.once('error', resolve);
    probe.listen(port, host, () => probe.close(() => resolve(undefined)));
  });
  if (!problem) return { name, result: 'ok', detail: `${host}:${port} is free` };
  const detail = problem.code === 'EADDRINUSE' ? `${host}:${port} is taken` : `${host}:${port}: ${problem.message}`;
  return { name, result: 'fail', detail, remedy: 'Use another one with --port (0 takes a free one).' };
}

function existingParent(folder: string): string {
  let current = folder;
  while (!existsSync(current)) current = path.dirname(current);
  return current;
}
