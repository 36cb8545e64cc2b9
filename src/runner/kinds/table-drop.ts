import type { Tables } from '../../core/tables/tables.ts';
import type { KindHandler } from '../kind.ts';

/** Drops a table. */
export function tableDropKind(tables: Tables): KindHandler {
  return {
    kind: 'table-drop',
    async run(ctx) {
      const { tableId } = ctx.job.input as { tableId: string };
      await ctx.finish({ status: 'succeeded' }, (tx) => tables.dropIn(tx, ctx.actor, tableId));
    },
  };
}
