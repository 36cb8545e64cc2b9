import type { TableLoads } from '../../core/tables/table-loads.ts';
import type { KindHandler } from '../kind.ts';

/** Makes a table out of a file. A second run finds whether the first one committed by the job's own state. */
export function tableCreateKind(loads: TableLoads): KindHandler {
  return { kind: 'table-create', run: (ctx) => loads.run(ctx) };
}
