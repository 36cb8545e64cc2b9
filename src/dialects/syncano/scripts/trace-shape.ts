import { isLeftOut, type Job } from '../../../core/jobs/job-model.ts';
import type { ScriptResult } from '../../../core/scripts/script-model.ts';
import { syncanoTime } from '../times.ts';

export function traceShape(job: Job, path: string) {
  const { id, createdAt, startedAt, finishedAt } = job;
  return {
    id,
    status: statusOf(job),
    executed_at: syncanoTime(createdAt),
    duration: finishedAt ? finishedAt.getTime() - (startedAt ?? finishedAt).getTime() : null,
    result: isLeftOut(job) ? { __error__: 'Result is too big to show in trace.' } : resultOf(job),
    links: { self: `${path}${id}/` },
  };
}

export function statusOf({ status, error }: Job): string {
  switch (status) {
    case 'created':
    case 'waiting':
      return 'pending';
    case 'running':
    case 'stopping':
      return 'processing';
    case 'succeeded':
      return 'success';
    default:
      return error?.code === 'script.timeout' ? 'timeout' : 'failure';
  }
}

function resultOf(job: Job): object {
  const isOver = job.finishedAt !== undefined;
  if (!isOver) return {};
  const { stdout, stderr, response } = (job.result ?? {}) as Partial<ScriptResult>;
  return {
    stdout: withoutLastNewline(stdout ?? ''),
    stderr: withoutLastNewline(stderr || (job.error?.message ?? '')),
    ...(response && {
      response: {
        status: response.status,
        content_type: response.contentType,
        content: response.content,
        headers: response.headers,
      },
    }),
  };
}

const withoutLastNewline = (text: string) => text.replace(/\r?\n$/, '');
