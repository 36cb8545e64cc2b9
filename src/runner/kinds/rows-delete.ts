import type { RowDeletes } from '../../core/tables/row-deletes.ts';
import type { KindHandler } from '../kind.ts';

/** Deletes selected rows of a table. */
export function rowsDeleteKind(deletes: RowDeletes): KindHandler {
  return { kind: 'rows-delete', run: (ctx) => deletes.run(ctx) };
}
