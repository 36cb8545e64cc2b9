import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { packageRoot } from '../lib/package-root.ts';
import { ourSettings } from './open.ts';

export type MigrateOptions = {
  connection: pg.ClientConfig;
  log: Logger;
  /** Where the numbered files are; default: migrations/ of the package. */
  directory?: string;
};

export type Migration = { number: number; name: string; text: string };

/** Any constant will do as long as nobody else in the database uses it: "millrace" read as a number. */
const LOCK_KEY = '7883956432318128995';

/**
 * Brings the schema `millrace` up to date: files `NNNN-name.sql` in order, forward only, each in one transaction that
 * first inserts its row, so that a file can never run twice. Any number of servers may start at once: the first one
 * migrates, the others wait. A schema made by a newer program is refused, because this one would misread it.
 */
export async function migrate({ connection, log, directory }: MigrateOptions): Promise<void> {
  const known = await readMigrations(directory ?? path.join(packageRoot, 'migrations'));
  const client = new pg.Client({ ...connection, ...ourSettings } as pg.ClientConfig);
  client.on('error', (error) => log.warn({ err: error }, 'the migration connection was lost'));
  await client.connect();
  try {
    await client.query('select pg_advisory_lock($1::bigint)', [LOCK_KEY]);
    await client.query('create schema if not exists millrace');
    await client.query(
      `create table if not exists millrace.migrations (
         number integer primary key,
         name text not null,
         applied_at timestamptz not null default now()
       )`,
    );
    const applied = await client.query<{ number: number; name: string }>(
      'select number, name from millrace.migrations order by number',
    );
    checkApplied(known, applied.rows);
    const done = new Set(applied.rows.map((row) => row.number));
    for (const migration of known) if (!done.has(migration.number)) await apply(client, migration, log);
  } finally {
    // Ends the session and with it the advisory lock.
    await client.end();
  }
}

/** The files of a folder in order. Two files of one number, or a name of another form, are a mistake of ours. */
export async function readMigrations(directory: string): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for (const file of (await readdir(directory)).sort()) {
    if (file.startsWith('.')) continue;
    const match = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(file);
    if (!match) throw new Error(`migrations/${file}: the name must look like 0001-name.sql`);
    const number = Number(match[1]);
    if (migrations.at(-1)?.number === number) throw new Error(`migrations/${file}: the number ${match[1]} is taken`);
    migrations.push({ number, name: match[2] ?? '', text: await readFile(path.join(directory, file), 'utf8') });
  }
  return migrations;
}

function checkApplied(known: Migration[], applied: { number: number; name: string }[]): void {
  const names = new Map(known.map((migration) => [migration.number, migration.name]));
  for (const { number, name } of applied) {
    const label = `${String(number).padStart(4, '0')}-${name}`;
    if (!names.has(number)) {
      throw new AppError(
        'conflict',
        'database.newer',
        `The metadata database was migrated by a newer Millrace (it has ${label}, which this version does not know). ` +
          'Start that version again, or restore a backup from before the upgrade (docs/operations.md, Upgrading).',
        { retryable: false },
      );
    }
    if (names.get(number) !== name) {
      throw new AppError(
        'conflict',
        'database.foreign',
        `The metadata database has the migration ${label} where this version has ` +
          `${String(number).padStart(4, '0')}-${names.get(number)}: it belongs to another build of Millrace. ` +
          'Start that build, or use an empty database or data directory (docs/operations.md, Upgrading).',
        { retryable: false },
      );
    }
  }
}

async function apply(client: pg.Client, migration: Migration, log: Logger): Promise<void> {
  const started = performance.now();
  await client.query('begin');
  try {
    await client.query('insert into millrace.migrations (number, name) values ($1, $2)', [
      migration.number,
      migration.name,
    ]);
    await client.query(migration.text);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw new Error(
      `migration ${String(migration.number).padStart(4, '0')}-${migration.name} failed: ${String(error)}`,
      {
        cause: error,
      },
    );
  }
  log.info(
    { migration: migration.name, ms: Math.round(performance.now() - started) },
    'migrated the metadata database',
  );
}
