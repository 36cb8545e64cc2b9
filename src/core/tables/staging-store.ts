/**
 * Files on their way into a table (or an export): written by an engine, not yet anybody's.
 *
 * The row comes first, then the files, and the transaction that makes them part of something deletes the row. Whoever
 * cleans up locks the row before touching a file. So a row that can be locked names files nobody committed, whatever
 * became of the answer to that commit.
 */
import { basename } from 'node:path';
import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import { lakeSchema } from './lake-store.ts';

export type StagedFiles = {
  /** Every file of it has a name that starts with this. */
  prefix: string;
  directory: string;
  projectId: number;
  jobId: number;
  /** The claim on the job that the writer held. */
  claimToken: string;
};

type Row = { prefix: string; directory: string; project_id: number; job_id: number; claim_token: string };

function toStagedFiles(row: Row): StagedFiles {
  return {
    prefix: row.prefix,
    directory: row.directory,
    projectId: row.project_id,
    jobId: row.job_id,
    claimToken: row.claim_token,
  };
}

export async function insertStagedFiles(db: Db, staged: StagedFiles): Promise<void> {
  await db.query(sql`
    insert into staged_files (prefix, directory, project_id, job_id, claim_token)
    values (${staged.prefix}, ${staged.directory}, ${staged.projectId}, ${staged.jobId}, ${staged.claimToken})`);
}

/** False when somebody has cleaned the files away already. */
export async function deleteStagedFiles(db: Db, prefix: string): Promise<boolean> {
  const rows = await db.query(sql`delete from staged_files where prefix = ${prefix} returning prefix`);
  return rows.length > 0;
}

/** Locks the row; undefined when it is gone, which waits for a running commit to say so. */
export async function lockStagedFiles(db: Db, prefix: string): Promise<StagedFiles | undefined> {
  const row = await db.one<Row>(sql`select * from staged_files where prefix = ${prefix} for update`);
  return row && toStagedFiles(row);
}

/** Staged files whose writer lost its job or has ended. */
export async function listAbandonedFiles(db: Db): Promise<StagedFiles[]> {
  const rows = await db.query<Row>(sql`
    select s.* from staged_files s
    left join jobs j on j.id = s.job_id and j.status in ('running', 'stopping') and j.claim_token = s.claim_token
    where j.id is null order by s.created_at`);
  return rows.map(toStagedFiles);
}

/** What earlier claims of the same job have left. */
export async function listEarlierFiles(db: Db, jobId: number, claimToken: string): Promise<StagedFiles[]> {
  const rows = await db.query<Row>(
    sql`select * from staged_files where job_id = ${jobId} and claim_token <> ${claimToken}`,
  );
  return rows.map(toStagedFiles);
}

/** Whether the lake has files of that prefix, or a table in that directory. Neither may be taken away then. */
export async function isCommitted(db: Db, staged: StagedFiles): Promise<{ files: boolean; table: boolean }> {
  const lake = (name: string) => sql.name(lakeSchema(staged.projectId), name);
  const row = await db.one<{ files: boolean; in_table: boolean }>(sql`
    select exists (select from ${lake('ducklake_data_file')} where starts_with(path, ${staged.prefix}))
        or exists (select from ${lake('ducklake_delete_file')} where starts_with(path, ${staged.prefix})) as files,
      exists (select from ${lake('ducklake_table')} where path = ${`${basename(staged.directory)}/`}) as in_table`);
  return { files: row?.files ?? true, table: row?.in_table ?? true };
}
