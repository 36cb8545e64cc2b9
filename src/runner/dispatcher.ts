import type { EventDispatcher } from '../core/events/dispatcher.ts';
import type { Firings } from '../core/triggers/firings.ts';
import type { Triggers } from '../core/triggers/triggers.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { createDueLoop, type DueLoop } from './due-loop.ts';

export type DispatcherParts = {
  dispatcher: EventDispatcher;
  triggers: Triggers;
  firings: Firings;
  clock: Clock;
  log: Logger;
};

/** How many triggers are handled side by side when many are due. */
const LANES = 4;

/** Reads the log of events for those who follow it, and starts what triggers are due for. */
export function createDispatcher(parts: DispatcherParts): DueLoop {
  const loops = [readLog(parts), fireTriggers(parts)];
  return {
    start() {
      for (const loop of loops) loop.start();
    },
    async stop() {
      await Promise.all(loops.map((loop) => loop.stop()));
    },
  };
}

function readLog({ dispatcher, clock, log }: DispatcherParts): DueLoop {
  return createDueLoop({
    work: {
      name: 'events',
      // Each consumer's place in the log is in one hand at a time.
      lanes: 1,
      nextDueAt: () => dispatcher.nextDueAt(clock.now()),
      onChange: (listener) => dispatcher.onChange(listener),
      handleNext: async () => (await dispatcher.handleNext()) > 0,
    },
    clock,
    log,
  });
}

function fireTriggers({ firings, triggers, clock, log }: DispatcherParts): DueLoop {
  return createDueLoop({
    work: {
      name: 'triggers',
      lanes: LANES,
      nextDueAt: () => firings.nextDueAt(),
      onChange: (listener) => triggers.onChange(listener),
      async handleNext() {
        const fired = await firings.handleNext();
        if (!fired) return false;
        const { trigger, outcome, jobId, error } = fired;
        const fields = { triggerId: trigger.id, outcome, jobId };
        if (error?.kind === 'internal') log.error({ ...fields, err: error.cause ?? error }, 'a trigger failed');
        else if (error) log.warn({ ...fields, reason: error.message }, 'a trigger could not start');
        else log.debug(fields, 'a trigger was due');
        return true;
      },
    },
    clock,
    log,
  });
}
