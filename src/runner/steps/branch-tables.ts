import { AppError } from '../../core/errors.ts';
import type { JobRun } from '../job-run.ts';

/**
 * Branches share buckets and tables, so what a job in a development branch writes goes to a bucket beside the one it
 * names, with the branch in its name (`in.c-main` -> `in.c-123-main`): a try in a branch never touches what others use.
 */
export function tableInBranch({ ctx }: Pick<JobRun, 'ctx'>, tableId: string): string {
  if (ctx.actor.isDefaultBranch) return tableId;
  const [, stage, name] = /^(in|out)\.(?:c-)?(.+)$/.exec(tableId) ?? [];
  if (stage === undefined || name === undefined || name.startsWith(`${ctx.job.branchId}-`)) return tableId;
  return `${stage}.c-${ctx.job.branchId}-${name}`;
}

/** What a job reads: the branch's own table where it has one, else the one that everybody sees. */
export async function sourceInBranch(run: JobRun, tableId: string): Promise<string> {
  const own = tableInBranch(run, tableId);
  if (own === tableId) return tableId;
  try {
    return (await run.parts.core.tables.get(run.ctx.actor, own)).id;
  } catch (error) {
    if (error instanceof AppError && (error.kind === 'not-found' || error.kind === 'forbidden')) return tableId;
    throw error;
  }
}
