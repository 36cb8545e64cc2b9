/**
 * The status machine of every job, whatever its kind.
 *
 *   created ──► waiting ◄─── retry, or handed back ───┐
 *      │  │        │  │                               │
 *      │  └────────┼──┴──────── claim ──────────► running ──► succeeded | failed
 *      │           │                                  │
 *    kill        kill                                kill
 *      └─────┬─────┘                                  ▼
 *            ▼                                    stopping ──► stopped | failed
 *        cancelled
 *
 * `created` was accepted and never looked at again; `waiting` has run before or waits for its time. Only a worker that
 * holds the claim moves a job out of `running` and `stopping`, only `kill` moves one to `stopping` or `cancelled`. A
 * job that lost its worker stays `running` and is claimed again (attempt + 1): no status change, since for everybody
 * outside it never stopped. A killed job cannot succeed any more: its results would surprise whoever killed it.
 */
export type JobStatus =
  | 'created'
  | 'waiting'
  | 'running'
  | 'stopping'
  | 'succeeded'
  | 'failed'
  | 'stopped'
  | 'cancelled';

export const JOB_STATUSES = [
  'created',
  'waiting',
  'running',
  'stopping',
  'succeeded',
  'failed',
  'stopped',
  'cancelled',
] as const satisfies readonly JobStatus[];

/** From each status, where a job may go. Empty: final. */
export const TRANSITIONS: Record<JobStatus, readonly JobStatus[]> = {
  created: ['waiting', 'running', 'cancelled'],
  waiting: ['running', 'cancelled'],
  running: ['waiting', 'stopping', 'succeeded', 'failed'],
  stopping: ['stopped', 'failed'],
  succeeded: [],
  failed: [],
  stopped: [],
  cancelled: [],
};

/** Whether a job may go from one status straight to another. */
export function canMove(from: JobStatus, to: JobStatus): boolean {
  return TRANSITIONS[from].includes(to);
}

/** Whether nothing can happen to the job any more. */
export function isFinal(status: JobStatus): boolean {
  return TRANSITIONS[status].length === 0;
}

/** Whether a kill changes anything: not for finished jobs, nor for one that is stopping already. */
export function isKillable(status: JobStatus): boolean {
  return canMove(status, 'cancelled') || canMove(status, 'stopping');
}

/** The statuses from which `to` can be reached directly; stores guard their updates with it. */
export function statusesBefore(to: JobStatus): JobStatus[] {
  return JOB_STATUSES.filter((from) => canMove(from, to));
}

export const QUEUED_STATUSES = JOB_STATUSES.filter((status) => canMove(status, 'running'));
export const HELD_STATUSES: JobStatus[] = ['running', 'stopping'];
export const FINAL_STATUSES = JOB_STATUSES.filter(isFinal);
