import type { BranchCreateInput, Branches } from '../../core/projects/branches.ts';
import type { KindHandler } from '../kind.ts';

/** Makes a development branch. */
export function branchCreateKind(branches: Branches): KindHandler {
  return {
    kind: 'branch-create',
    async run(ctx) {
      const input = ctx.job.input as BranchCreateInput;
      await ctx.finish({ status: 'succeeded' }, async (tx) => ({
        branchId: (await branches.createIn(tx, ctx.actor, input)).id,
      }));
    },
  };
}
