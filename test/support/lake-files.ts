import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type {
  ColumnStatistics,
  TableChange,
  WrittenDataFile,
  WrittenDeleteFile,
} from '../../src/drivers/engines/contract.ts';
import { uuidv7 } from '../../src/lib/ids.ts';

/** Files as an engine would hand them over, made directly: tests of the catalogue then depend on no engine. */
export class LakeFiles {
  private readonly instance: DuckDBInstance;

  private constructor(instance: DuckDBInstance) {
    this.instance = instance;
  }

  static async open(): Promise<LakeFiles> {
    return new LakeFiles(await DuckDBInstance.create(':memory:'));
  }

  /** One file with text columns by field id. */
  async data(directory: string, rows: Record<number, string | null>[]): Promise<WrittenDataFile> {
    const ids = Object.keys(rows[0] ?? {}).map(Number);
    const path = join(directory, `ducklake-${uuidv7()}.parquet`);
    const cell = (value: string | null | undefined) => (value == null ? 'NULL' : `'${value.replaceAll("'", "''")}'`);
    const values = rows.map((row) => `(${ids.map((id) => cell(row[id])).join(', ')})`).join(', ');
    const columns = ids.map((id) => `c${id}::varchar as c${id}`).join(', ');
    const fields = ids.map((id) => `c${id}: ${id}`).join(', ');
    const [written] = await this.run(
      `COPY (SELECT ${columns} FROM (VALUES ${values}) t (${ids.map((id) => `c${id}`).join(', ')}))
       TO '${path}' (FORMAT parquet, FIELD_IDS {${fields}}, RETURN_STATS)`,
    );
    const statistics = ids.map((fieldId): ColumnStatistics => {
      const texts = rows.map((row) => row[fieldId]).filter((value) => value != null);
      const sorted = texts.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      return {
        fieldId,
        columnSizeBytes: null,
        valueCount: texts.length,
        nullCount: rows.length - texts.length,
        minValue: sorted[0] ?? null,
        maxValue: sorted.at(-1) ?? null,
      };
    });
    return {
      path,
      recordCount: rows.length,
      fileSizeBytes: Number(written?.file_size_bytes),
      footerSize: await footerSize(path),
      statistics,
    };
  }

  /** All deleted positions of a data file. */
  async deletes(dataFile: string, positions: number[]): Promise<WrittenDeleteFile> {
    const path = dataFile.replace(/ducklake-[^/]*$/, `ducklake-${uuidv7()}-delete.parquet`);
    const [written] = await this.run(
      `COPY (SELECT '${dataFile}' AS file_path, unnest([${[...positions].sort((a, b) => a - b).join(', ')}])::bigint AS pos)
       TO '${path}' (FORMAT parquet, FIELD_IDS {file_path: 2147483646, pos: 2147483645}, RETURN_STATS)`,
    );
    return {
      dataFile,
      path,
      deleteCount: positions.length,
      fileSizeBytes: Number(written?.file_size_bytes),
      footerSize: await footerSize(path),
    };
  }

  close(): void {
    this.instance.closeSync();
  }

  private async run(sql: string): Promise<Record<string, unknown>[]> {
    const connection = await this.instance.connect();
    try {
      return (await connection.runAndReadAll(sql)).getRowObjects();
    } finally {
      connection.closeSync();
    }
  }
}

/** A change that adds and takes away these. */
export function tableChange(parts: Partial<TableChange>): TableChange {
  return { addedFiles: [], deleteFiles: [], removedFiles: [], sourceRows: 0, totalRows: 0, deletedRows: 0, ...parts };
}

async function footerSize(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, size - 8);
    return buffer.readUInt32LE();
  } finally {
    await file.close();
  }
}
