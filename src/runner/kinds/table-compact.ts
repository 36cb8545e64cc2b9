import type { TableCompactions } from '../../core/tables/table-compactions.ts';
import type { KindHandler } from '../kind.ts';

/** Merges small files of a table, so that later loads and readers have fewer to open. */
export function tableCompactKind(compactions: TableCompactions): KindHandler {
  return { kind: 'table-compact', run: (ctx) => compactions.run(ctx) };
}
