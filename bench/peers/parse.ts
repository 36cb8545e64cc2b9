import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { firstJsonLine, postgresOf, stopChild } from '../support/server.ts';

const VERSION = '9.10.0';
const KEY = 'bench-master-key';

export type Parse = {
  url: string;
  headers: Record<string, string>;
  version: string;
  pid: number;
  stop(): Promise<void>;
};

/** Parse Server in a database of its own on the PostgreSQL of a running Millrace. */
export async function startParse(dataDirectory: string): Promise<Parse> {
  const home = install();
  const { host, port, user } = postgresOf(dataDirectory);
  const admin = new pg.Client({ host, port, user, database: 'millrace' });
  await admin.connect();
  await admin.query('create database parse');
  await admin.end();
  const options = { home, key: KEY, database: { host, port, user, database: 'parse' } };
  const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'parse-server.js');
  const child = spawn(process.execPath, [program, JSON.stringify(options)], {
    // It makes a folder for logs wherever it is.
    cwd: dataDirectory,
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { url } = await firstJsonLine<{ url: string }>(child, 'Parse Server');
  return {
    url,
    version: VERSION,
    // The master key leaves out access rules: the quickest way that Parse has, and what an account key is to us.
    headers: { 'x-parse-application-id': 'bench', 'x-parse-master-key': KEY },
    pid: child.pid ?? 0,
    stop: () => stopChild(child),
  };
}

/** Into a cache folder, once per machine. */
function install(): string {
  const cache = process.env.MILLRACE_TEST_CACHE ?? path.join(homedir(), '.cache', 'millrace-bench');
  const home = path.join(cache, `parse-server-${VERSION}`);
  if (existsSync(home)) return home;
  console.log(`installing parse-server ${VERSION} into ${home} ...`);
  const draft = `${home}.${process.pid}`;
  try {
    mkdirSync(draft, { recursive: true });
    writeFileSync(path.join(draft, 'package.json'), '{"private":true}');
    const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', '--omit=dev'];
    execFileSync('npm', [...args, `parse-server@${VERSION}`], { cwd: draft, stdio: ['ignore', 'ignore', 'inherit'] });
    renameSync(draft, home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return home;
}
