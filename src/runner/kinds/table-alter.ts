import type { TableStructure } from '../../core/tables/table-structure.ts';
import type { KindHandler } from '../kind.ts';

/** Changes the columns or the primary key of a table. */
export function tableAlterKind(structure: TableStructure): KindHandler {
  return { kind: 'table-alter', run: (ctx) => structure.run(ctx) };
}
