import type { BucketSharing, SharingInput } from '../../core/tables/bucket-sharing.ts';
import type { KindHandler } from '../kind.ts';

/** Opens a bucket to other projects, links one of theirs, or ends either. */
export function bucketSharingKind(sharing: BucketSharing): KindHandler {
  return {
    kind: 'bucket-sharing',
    async run(ctx) {
      const input = ctx.job.input as SharingInput;
      await ctx.finish({ status: 'succeeded' }, (tx) => sharing.applyIn(tx, ctx.actor, input));
    },
  };
}
