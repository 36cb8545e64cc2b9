import type { TableLoads } from '../../core/tables/table-loads.ts';
import type { KindHandler } from '../kind.ts';

/** Loads rows into a table. */
export function tableImportKind(loads: TableLoads): KindHandler {
  return { kind: 'table-import', run: (ctx) => loads.run(ctx) };
}
