import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type {
  CsvFormat,
  DataFile,
  Engine,
  ReadRequest,
  TableChange,
  TableVersion,
  WriteRequest,
} from '../../src/drivers/engines/contract.ts';
import { cleanup } from '../support/cleanup.ts';

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-engine-'));
  cleanup(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}

export const csvFormat: CsvFormat = {
  delimiter: ',',
  enclosure: '"',
  escapedBy: '',
  compression: 'none',
  skipLines: 0,
  hasHeader: false,
};

export const quoted = (rows: string[][], newLine = '\n'): string =>
  rows.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',') + newLine).join('');

/** Reads what exports promise: every cell quoted (a NULL is nothing at all), lines end in \n. */
export function parseExport(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (let at = 0; at < text.length; ) {
    let cell = '';
    if (text[at] === '"') {
      for (at += 1; ; ) {
        const end = text.indexOf('"', at);
        cell += text.slice(at, end);
        at = end + 1;
        if (text[at] !== '"') break;
        cell += '"';
        at += 1;
      }
    }
    row.push(cell);
    if (text[at] === '\n') {
      rows.push(row);
      row = [];
    } else if (text[at] !== ',') throw new Error(`Unexpected ${JSON.stringify(text.slice(at, at + 20))} at ${at}`);
    at += 1;
  }
  return rows;
}

export type Change = Partial<Omit<WriteRequest, 'source'>> & {
  content?: string | Buffer | (string | Buffer)[];
  csv?: Partial<CsvFormat>;
  fieldIds?: (number | null)[];
  source?: WriteRequest['source'];
  signal?: AbortSignal;
};

/** One table of an engine, with its versions kept by hand as the catalogue would. */
export class EngineTable {
  readonly engine: Engine;
  readonly folder: string;
  readonly names: string[];
  version: TableVersion;
  #files = 0;

  constructor(engine: Engine, folder: string, names: string[]) {
    this.engine = engine;
    this.folder = folder;
    this.names = names;
    this.version = { columns: [], files: [] };
    for (const name of names) this.addColumn(name);
    this.version.columns.push({ fieldId: 9000, name: '_timestamp', type: 'timestamp' });
  }

  static async make(engine: Engine, t: TestContext, names: string[]): Promise<EngineTable> {
    const folder = await temporaryFolder(t);
    await mkdir(path.join(folder, 'data'));
    return new EngineTable(engine, folder, names);
  }

  get data(): string {
    return path.join(this.folder, 'data');
  }

  get userFieldIds(): number[] {
    return this.version.columns.filter(({ type }) => type === 'varchar').map(({ fieldId }) => fieldId);
  }

  addColumn(name: string): void {
    this.version.columns.push({ fieldId: this.userFieldIds.length + 1, name, type: 'varchar' });
  }

  async file(content: string | Buffer): Promise<string> {
    this.#files += 1;
    const file = path.join(this.folder, `source-${this.#files}.csv`);
    await writeFile(file, content);
    return file;
  }

  /** Writes without taking the change over. */
  async write(change: Change): Promise<TableChange> {
    const { content = [], csv, fieldIds = this.userFieldIds, source, signal, ...request } = change;
    const contents = Array.isArray(content) ? content : [content];
    const paths: string[] = [];
    for (const item of contents) paths.push(await this.file(item));
    this.#files += 1;
    return await this.engine.tables.write(
      {
        operationId: `write-${this.#files}`,
        table: this.version,
        primaryKey: [],
        mode: 'append',
        source: source ?? { kind: 'csv', paths, format: { ...csvFormat, ...csv }, fieldIds },
        timestamp: { fieldId: 9000, value: new Date('2026-01-01T00:00:00Z') },
        directory: this.data,
        filePrefix: `part-${this.#files}-`,
        ...request,
      },
      signal,
    );
  }

  async import(change: Change): Promise<TableChange> {
    const result = await this.write(change);
    this.take(result);
    return result;
  }

  /** What the catalogue would do with a change. */
  take(change: TableChange): void {
    const removed = new Set(change.removedFiles);
    const deletes = new Map(change.deleteFiles.map((file) => [file.dataFile, file]));
    const kept = this.version.files
      .filter((file) => !removed.has(file.path))
      .map((file): DataFile => {
        const fresh = deletes.get(file.path);
        return fresh === undefined
          ? file
          : { ...file, deleteFile: { path: fresh.path, deleteCount: fresh.deleteCount } };
      });
    const added = change.addedFiles.map(({ path: file, recordCount }) => ({ path: file, recordCount }));
    this.version = { ...this.version, files: [...kept, ...added] };
  }

  async deleteRows(filter: Parameters<Engine['tables']['deleteRows']>[0]['filter']): Promise<TableChange> {
    this.#files += 1;
    const change = await this.engine.tables.deleteRows({
      operationId: `delete-${this.#files}`,
      table: this.version,
      directory: this.data,
      filePrefix: `part-${this.#files}-`,
      filter,
    });
    this.take(change);
    return change;
  }

  request(request: Partial<ReadRequest> = {}): ReadRequest {
    return { operationId: 'read', table: this.version, columns: this.userFieldIds, ...request };
  }

  /** Rows through an export file. */
  async rows(request: Partial<ReadRequest> = {}, gzip = false): Promise<string[][]> {
    this.#files += 1;
    const destination = path.join(this.folder, `export-${this.#files}.csv`);
    await this.engine.tables.export({
      ...this.request(request),
      destination,
      format: { kind: 'csv', gzip, header: null },
    });
    const bytes = await readFile(destination);
    return parseExport((gzip ? gunzipSync(bytes) : bytes).toString('utf8'));
  }

  async sortedRows(request: Partial<ReadRequest> = {}): Promise<string[][]> {
    return sorted(await this.rows(request));
  }
}

/** Tables promise no order. */
export const sorted = (rows: string[][]): string[][] =>
  [...rows].sort((a, b) => Buffer.compare(Buffer.from(JSON.stringify(a)), Buffer.from(JSON.stringify(b))));
