import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { AppError } from '../../../core/errors.ts';
import type { Logger } from '../../../lib/logger.ts';
import type { CompactedFile, Engine, EngineTables, RowPage, TableChange, WrittenDeleteFile } from '../contract.ts';
import { readHeader } from './csv-records.ts';
import type { CarryParams, CompactParams, DeleteParams, ExportParams, WriteParams } from './engine-main.ts';
import { EngineProcess } from './engine-process.ts';
import { removePlaced } from './parquet-files.ts';
import { partialPath } from './read.ts';
import { SessionPool } from './session-pool.ts';

/**
 * The DuckDB engine as the server sees it. DuckDB itself is never loaded into the server process: tables are read and
 * written by one engine process, other people's SQL runs in a process per session.
 */
export type DuckdbEngineOptions = {
  /** Private directory of the engine: work areas of sessions. On the disk of the tables, so that files can be linked. */
  directory: string;
  memoryLimitMb: number;
  threads: number;
  /** For what does not fit into memory. Emptied of our own leftovers at start. */
  spillDirectory: string;
  log: Logger;
  /** The engine process is stopped after this long without calls. Default 300. */
  idleSeconds?: number;
};

export type DuckdbEngine = Engine & {
  /** Process id of the engine process while it runs. */
  enginePid(): Promise<number | undefined>;
};

export async function openDuckdbEngine(options: DuckdbEngineOptions): Promise<DuckdbEngine> {
  const { directory, log, memoryLimitMb, threads, spillDirectory, idleSeconds = 300 } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const engine = new EngineProcess({ memoryLimitMb, threads, spillDirectory, log, idleSeconds });
  await engine.clearSpill();
  const sessions = await SessionPool.open({ directory, threads, log });

  /** A request that writes files: what is left when it fails is removed here, as the process may be gone. */
  const writing = async <Result>(
    call: (token: string) => Promise<unknown>,
    cleanUp: (token: string) => Promise<void>,
  ): Promise<Result> => {
    const token = randomBytes(6).toString('hex');
    try {
      return (await call(token)) as Result;
    } catch (thrown) {
      await cleanUp(token);
      throw thrown;
    }
  };

  const tables: EngineTables = {
    readHeader,
    write: (request, signal) =>
      writing<TableChange>(
        (token) => engine.call('write', { request, token } satisfies WriteParams, signal),
        (token) => removePlaced({ directory: request.directory, prefix: request.filePrefix + token }),
      ),
    deleteRows: (request, signal) =>
      writing<TableChange>(
        (token) => engine.call('deleteRows', { request, token } satisfies DeleteParams, signal),
        (token) => removePlaced({ directory: request.directory, prefix: request.filePrefix + token }),
      ),
    compact: (request, signal) =>
      writing<CompactedFile>(
        (token) => engine.call('compact', { request, token } satisfies CompactParams, signal),
        (token) => removePlaced({ directory: request.directory, prefix: request.filePrefix + token }),
      ),
    carryDeletes: (request, signal) =>
      writing<WrittenDeleteFile | null>(
        (token) => engine.call('carryDeletes', { request, token } satisfies CarryParams, signal),
        (token) => removePlaced({ directory: request.directory, prefix: request.filePrefix + token }),
      ).then((written) => written ?? undefined),
    export: (request, signal) =>
      writing<{ rows: number; sizeBytes: number }>(
        (token) => engine.call('export', { request, token } satisfies ExportParams, signal),
        (token) => rm(partialPath(request.destination, token), { force: true }),
      ),
    hasDuplicates: async (request, signal) => (await engine.call('hasDuplicates', request, signal)) as boolean,
    preview: async (request) => (await engine.call('preview', request)) as (string | null)[][],
    readPage: async (request, signal) => (await engine.call('readPage', request, signal)) as RowPage,
    countRows: async (request, signal) => (await engine.call('countRows', request, signal)) as number,
  };

  return {
    name: 'duckdb',
    facts: {
      identifierMaxBytes: 255,
      ignoresCaseInNames: true,
      importFormats: ['csv', 'parquet'],
      exportFormats: ['csv', 'parquet'],
    },
    tables,
    sessions: { open: (spec, signal) => sessions.take(spec, signal) },
    async check() {
      try {
        await engine.call('check', null);
      } catch (cause) {
        throw new AppError(
          'unavailable',
          'engine.unusable',
          'DuckDB does not start on this machine. Run "npm ci" on this operating system and processor (it installs @duckdb/node-bindings for them), and look into the log for the reason.',
          { cause, retryable: false },
        );
      }
    },
    async close() {
      await Promise.all([engine.close(), sessions.close()]);
    },
    enginePid: () => engine.pid(),
  };
}
