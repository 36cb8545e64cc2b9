import type { TableSnapshots } from '../../core/tables/table-snapshots.ts';
import type { KindHandler } from '../kind.ts';

/** Keeps tables as they are, lets go of that, and makes tables of it. */
export function snapshotKinds(snapshots: TableSnapshots): KindHandler[] {
  return (['snapshot-create', 'snapshot-delete', 'snapshot-restore'] as const).map((kind) => ({
    kind,
    run: (ctx) => snapshots.run(ctx),
  }));
}
