import './byte-order-marks.ts';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { AppError, errors } from '../../../core/errors.ts';
import type {
  CarryDeletesRequest,
  CompactRequest,
  DeleteRowsRequest,
  ExportRequest,
  PageRequest,
  ReadRequest,
  UniquenessRequest,
  WriteRequest,
} from '../contract.ts';
import { serveChannel } from './channel.ts';
import { carryDeletes, compact } from './compact.ts';
import { RequestConnection } from './connection.ts';
import { fromDuckdb } from './errors.ts';
import { deleteRows, write } from './load.ts';
import { countRows, readPage } from './page.ts';
import { filePlace, removePlaced } from './parquet-files.ts';
import { exportFile, hasDuplicates, preview } from './read.ts';
import { emptyFileCopy } from './sql.ts';

/**
 * The engine process: one DuckDB in memory, all requests of one server, each on its own connection. It holds no state
 * that matters; it may be killed at any moment. It ends by itself when the server is gone.
 */
export type EngineSettings = { memoryLimitMb: number; threads: number; spillDirectory: string };

/** `token` names the request's files, so that the server can remove them when this process dies half way. */
export type WriteParams = { request: WriteRequest; token: string };
export type DeleteParams = { request: DeleteRowsRequest; token: string };
export type CompactParams = { request: CompactRequest; token: string };
export type CarryParams = { request: CarryDeletesRequest; token: string };
export type ExportParams = { request: ExportRequest; token: string };

let settings: EngineSettings | undefined;
let opened: Promise<DuckDBInstance> | undefined;

async function openInstance({ memoryLimitMb, threads, spillDirectory }: EngineSettings): Promise<DuckDBInstance> {
  await mkdir(spillDirectory, { recursive: true, mode: 0o700 });
  const instance = await DuckDBInstance.create(':memory:', {
    memory_limit: `${memoryLimitMb}MB`,
    threads: String(threads),
    temp_directory: join(spillDirectory, 'pages'),
    // "The last row of a key wins" needs the file's order.
    preserve_insertion_order: 'true',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    // Files are immutable and mostly read once; the pages are in the operating system's cache anyway.
    enable_external_file_cache: 'false',
    allocator_background_threads: 'true',
  });
  const connection = await instance.connect();
  // A time without an offset is in UTC, wherever the server stands.
  await connection.run("SET GLOBAL TimeZone = 'UTC'");
  await connection.run(emptyFileCopy(emptyFileIn(spillDirectory)));
  connection.closeSync();
  return instance;
}

const emptyFileIn = (folder: string) => join(folder, 'empty.parquet');

async function answer(method: string, params: unknown, signal: AbortSignal): Promise<unknown> {
  if (method === 'start') {
    settings = params as EngineSettings;
    opened = openInstance(settings);
    await opened;
    return null;
  }
  if (opened === undefined || settings === undefined) throw errors.internal('The engine was not started');
  const { spillDirectory, threads } = settings;
  const connection = await RequestConnection.open(await opened, emptyFileIn(spillDirectory), signal);
  const scratch = await mkdtemp(join(spillDirectory, 'request-'));
  try {
    switch (method) {
      case 'check':
        return await connection.rows('SELECT version()');
      case 'write': {
        const { request, token } = params as WriteParams;
        const timestamp = { ...request.timestamp, value: new Date(request.timestamp.value) };
        const place = filePlace(request.directory, request.filePrefix + token);
        return await cleanedOnFailure(place, () => write({ connection, place, scratch }, { ...request, timestamp }));
      }
      case 'deleteRows': {
        const { request, token } = params as DeleteParams;
        const place = filePlace(request.directory, request.filePrefix + token);
        return await cleanedOnFailure(place, () => deleteRows({ connection, place, scratch }, request));
      }
      case 'compact': {
        const { request, token } = params as CompactParams;
        const place = filePlace(request.directory, request.filePrefix + token);
        return await cleanedOnFailure(place, () => compact({ connection, place, scratch }, request));
      }
      case 'carryDeletes': {
        const { request, token } = params as CarryParams;
        const place = filePlace(request.directory, request.filePrefix + token);
        return await cleanedOnFailure(place, () => carryDeletes({ connection, place, scratch }, request));
      }
      case 'export': {
        const { request, token } = params as ExportParams;
        return await exportFile({ connection, scratch, token, threads }, request);
      }
      case 'hasDuplicates':
        return await hasDuplicates(connection, params as UniquenessRequest);
      case 'preview':
        return await preview(connection, params as ReadRequest);
      case 'readPage':
        return await readPage(connection, params as PageRequest);
      case 'countRows':
        return await countRows(connection, params as PageRequest);
      default:
        throw errors.internal(`Unknown engine method ${method}`);
    }
  } catch (thrown) {
    throw thrown instanceof AppError ? thrown : fromDuckdb(thrown);
  } finally {
    connection.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

async function cleanedOnFailure<Result>(
  place: { directory: string; prefix: string },
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    await removePlaced(place);
    throw thrown;
  }
}

// Queries run on threads of their own: only a kill ends them at once, and nothing here needs a farewell.
serveChannel(new Socket({ fd: 3 }), answer, () => process.kill(process.pid, 'SIGKILL'));
