import type { Occurrences } from '../core/schedules/occurrences.ts';
import type { Schedules } from '../core/schedules/schedules.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { createDueLoop, type DueLoop } from './due-loop.ts';

export type SchedulerParts = { occurrences: Occurrences; schedules: Schedules; clock: Clock; log: Logger };

/** How many schedules are handled side by side when many are due. */
const LANES = 4;

/** Starts what schedules are due for. */
export function createScheduler({ occurrences, schedules, clock, log }: SchedulerParts): DueLoop {
  return createDueLoop({
    work: {
      name: 'schedules',
      lanes: LANES,
      nextDueAt: () => occurrences.nextDueAt(),
      onChange: (listener) => schedules.onChange(listener),
      async handleNext() {
        const handled = await occurrences.handleNext();
        if (!handled) return false;
        const { schedule, dueAt, lagMs, outcome, jobId, error } = handled;
        const fields = { scheduleId: schedule.id, dueAt: dueAt.toISOString(), lagMs, outcome, jobId };
        if (error?.kind === 'internal') log.error({ ...fields, err: error.cause ?? error }, 'a schedule failed');
        else if (error) log.warn({ ...fields, reason: error.message }, 'a schedule could not start');
        else log.debug(fields, 'a schedule was due');
        return true;
      },
    },
    clock,
    log,
  });
}
