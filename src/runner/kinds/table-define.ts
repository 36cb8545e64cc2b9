import type { TableDefinitions } from '../../core/tables/table-definitions.ts';
import type { KindHandler } from '../kind.ts';

/** Makes an empty table. */
export function tableDefineKind(definitions: TableDefinitions): KindHandler {
  return { kind: 'table-define', run: (ctx) => definitions.run(ctx) };
}
