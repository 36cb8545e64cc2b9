import type { TableExports } from '../../core/tables/table-exports.ts';
import type { KindHandler } from '../kind.ts';

/** Writes rows of a table into a stored file. */
export function tableExportKind(exports: TableExports): KindHandler {
  return { kind: 'table-export', run: (ctx) => exports.run(ctx) };
}
