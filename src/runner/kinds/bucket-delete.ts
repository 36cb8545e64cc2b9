import type { Buckets } from '../../core/tables/buckets.ts';
import type { KindHandler } from '../kind.ts';

/** Deletes a bucket, with its tables where that was asked for. */
export function bucketDeleteKind(buckets: Buckets): KindHandler {
  return {
    kind: 'bucket-delete',
    async run(ctx) {
      const { bucketId, force } = ctx.job.input as { bucketId: string; force: boolean };
      await ctx.finish({ status: 'succeeded' }, (tx) => buckets.deleteIn(tx, ctx.actor, bucketId, { force }));
    },
  };
}
