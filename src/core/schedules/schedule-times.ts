import { Cron } from 'croner';
import { scheduleErrors } from './schedule-errors.ts';

/**
 * When something recurs. A cron expression of five fields is read as Unix writes it (Sunday is 0 or 7; a day that fits
 * either of the two day fields counts), one of six or seven as Quartz does (seconds first, Sunday is 1, `?` in one of the
 * two day fields, a year at the end if one likes).
 *
 * Where clocks are put forward, a time that is left out comes as soon as the clock is past it, and what recurs by a
 * wildcard or step leaves it out; where they are put back, a fixed time comes once and a recurring one both times.
 */
export type Recurrence = { timezone: string } & (
  | { type: 'cron'; expression: string }
  | { type: 'interval'; seconds: number }
);

const MAX_TEXT = 200;

/** Throws schedule.invalid-time with what is wrong. `now`: an expression that has only past times is refused too. */
export function assertRecurrence(recurrence: Recurrence, now: Date): void {
  if (recurrence.type === 'interval') {
    timezoneOf(recurrence.timezone);
    if (!Number.isInteger(recurrence.seconds) || recurrence.seconds < 1)
      throw scheduleErrors.invalidTime('An interval is a whole number of seconds.');
    return;
  }
  const { expression } = recurrence;
  if (!cronOf(recurrence).nextRun(now)) throw scheduleErrors.invalidTime(`"${expression}" never comes.`);
}

/** The first time after `now`; for an interval on the grid of `from`. Undefined when there is none. */
export function nextTime(recurrence: Recurrence, from: Date, now: Date): Date | undefined {
  if (recurrence.type === 'cron') {
    // With a clock that is behind, the time that was just handled must not come again.
    return cronOf(recurrence).nextRun(new Date(Math.max(from.getTime(), now.getTime()))) ?? undefined;
  }
  const stepMs = recurrence.seconds * 1000;
  const steps = Math.max(1, Math.floor((now.getTime() - from.getTime()) / stepMs) + 1);
  return new Date(from.getTime() + steps * stepMs);
}

function cronOf({ expression, timezone }: { expression: string; timezone: string }): Cron {
  if (expression.length > MAX_TEXT) throw scheduleErrors.invalidTime('The cron expression is too long.');
  const fields = expression.trim().split(/\s+/);
  const zone = timezoneOf(timezone);
  if (fields.length < 5 || fields.length > 7)
    throw scheduleErrors.invalidTime(`"${expression}" is no cron expression of five, six or seven fields.`);
  const isQuartz = fields.length > 5;
  if (isQuartz && isRestricted(fields[3]) && isRestricted(fields[5]))
    throw scheduleErrors.invalidTime(`"${expression}": either the day of month or the day of week has to be "?".`);
  // Quartz has it for Saturday; the library knows it only after a weekday.
  if (isQuartz && fields[5]?.toUpperCase() === 'L') fields[5] = '7';
  try {
    return new Cron(fields.join(' '), {
      ...zone,
      paused: true,
      mode: isQuartz ? '6-or-7-parts' : '5-part',
      alternativeWeekdays: isQuartz,
      sloppyRanges: isQuartz,
      // A list of hours is as fixed as a single one.
      fixedTimeRule: 'no-wildcard',
    });
  } catch (cause) {
    const reason = (cause as Error).message.replace(/^CronPattern: /, '');
    throw scheduleErrors.invalidTime(`"${expression}" is no cron expression: ${reason}`, cause);
  }
}

function isRestricted(field: string | undefined): boolean {
  return field !== '*' && field !== '?';
}

/** By name (`Europe/Prague`) or as an offset (`+0100`). */
function timezoneOf(timezone: string): { timezone: string } | { utcOffset: number } {
  const offset = /^([+-])(\d{2}):?([0-5]\d)$/.exec(timezone);
  if (offset) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    if (minutes > 14 * 60) throw scheduleErrors.invalidTime(`"${timezone}" is no time zone.`);
    return { utcOffset: offset[1] === '-' ? -minutes : minutes };
  }
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone });
    return { timezone };
  } catch (cause) {
    throw scheduleErrors.invalidTime(`"${timezone}" is no time zone.`, cause);
  }
}
