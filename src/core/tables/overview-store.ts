import type { Db } from '../../db/database.ts';
import { sql } from '../../db/sql.ts';
import type { Place } from './bucket-store.ts';
import { lakeSchema } from './lake-store.ts';

/** Rows and bytes of a whole lake at one of its snapshots. */
export type LakeTotals = { snapshotId: number; rowsCount: number; sizeBytes: number };

/**
 * The ids of a branch's buckets and the totals of its project's lake. Every change of a lake makes a snapshot, so totals
 * that are known for the newest one are not added up again: the files are only read when it is another.
 */
export async function findOverview(
  db: Db,
  place: Place,
  known: LakeTotals | undefined,
): Promise<{ bucketIds: string[]; totals: LakeTotals }> {
  const lake = (name: string) => sql.name(lakeSchema(place.projectId), name);
  const isNew = sql`newest.snapshot_id is distinct from ${known?.snapshotId ?? null}::bigint`;
  const row = await db.one<{
    bucket_ids: string[];
    snapshot_id: number;
    rows: number | null;
    bytes: number | null;
  }>(sql`
    select newest.snapshot_id, (files.rows - coalesce(deletes.rows, 0))::bigint as rows, files.bytes::bigint as bytes,
      array(select id from buckets where project_id = ${place.projectId} and branch_id = ${place.storageBranchId}
        order by id collate "C") as bucket_ids
    from (select max(snapshot_id) as snapshot_id from ${lake('ducklake_snapshot')}) newest
    cross join lateral (
      select sum(record_count) as rows, sum(file_size_bytes) as bytes from ${lake('ducklake_data_file')}
      where end_snapshot is null and ${isNew}) files
    cross join lateral (
      select sum(delete_count) as rows from ${lake('ducklake_delete_file')} where end_snapshot is null and ${isNew}) deletes`);
  if (row === undefined) throw new Error('an aggregate without a row');
  const isKnown = known !== undefined && known.snapshotId === row.snapshot_id;
  return {
    bucketIds: row.bucket_ids,
    totals: isKnown ? known : { snapshotId: row.snapshot_id, rowsCount: row.rows ?? 0, sizeBytes: row.bytes ?? 0 },
  };
}
