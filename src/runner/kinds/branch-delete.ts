import type { BranchDeleteInput, Branches } from '../../core/projects/branches.ts';
import type { KindHandler } from '../kind.ts';

/** Deletes a development branch with all it has. */
export function branchDeleteKind(branches: Branches): KindHandler {
  return {
    kind: 'branch-delete',
    async run(ctx) {
      const { branchId } = ctx.job.input as BranchDeleteInput;
      await ctx.finish({ status: 'succeeded' }, (tx) => branches.deleteIn(tx, ctx.actor, branchId));
    },
  };
}
