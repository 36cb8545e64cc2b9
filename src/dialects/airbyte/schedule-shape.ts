import type { ConnectionSchedule, INTERVAL_UNITS } from '../../core/components/connection-model.ts';
import { connectorErrors } from '../../core/components/connector-errors.ts';

type Unit = keyof typeof INTERVAL_UNITS;

/** As clients write it; all of it may be what they were given. */
export type ScheduleBody = { scheduleType: string; cronExpression?: string; basicTiming?: string };

export function fromSchedule({ scheduleType, cronExpression, basicTiming }: ScheduleBody): ConnectionSchedule {
  if (scheduleType === 'cron') return { type: 'cron', ...fromQuartz(cronExpression) };
  return scheduleType === 'basic' ? { type: 'interval', ...fromTiming(basicTiming) } : { type: 'manual' };
}

export function toSchedule(schedule: ConnectionSchedule): ScheduleBody {
  switch (schedule.type) {
    case 'manual':
      return { scheduleType: 'manual' };
    case 'cron':
      return { scheduleType: 'cron', cronExpression: `${schedule.expression} ${schedule.timezone}` };
    case 'interval':
      return { scheduleType: 'basic', basicTiming: `Every ${schedule.every} ${schedule.unit.toUpperCase()}` };
  }
}

/**
 * Cron as Quartz writes it: seconds first, a year at the end if one likes, `?` in one of the two fields for days. Read
 * with the time zone at its end, as it is also given back: clients send what they got.
 */
function fromQuartz(text: string | undefined): { expression: string; timezone: string } {
  if (!text?.trim()) throw connectorErrors.invalidSchedule('A cron schedule needs a cronExpression.');
  const fields = text.trim().split(/\s+/);
  const last = fields.at(-1) ?? '';
  const hasZone = fields.length > 6 && /^(UTC|[A-Za-z]+\/[A-Za-z_/+-]+)$/i.test(last);
  if (hasZone) fields.pop();
  if (fields.length !== 6 && fields.length !== 7)
    throw connectorErrors.invalidSchedule(`"${text}" is no cron expression of six or seven fields.`);
  if (!/^\d+$/.test(fields[0] ?? ''))
    throw connectorErrors.invalidSchedule(`"${text}" would start more than once a minute: say the second.`);
  return { expression: fields.join(' '), timezone: hasZone && !/^utc$/i.test(last) ? last : 'UTC' };
}

/** `Every 24 HOURS` */
function fromTiming(text: string | undefined): { every: number; unit: Unit } {
  const match = /^\s*(?:every\s+)?(\d{1,6})\s+(minute|hour|day|week|month)s?\s*$/i.exec(text ?? '');
  if (!match) throw connectorErrors.invalidSchedule('A basic schedule needs a basicTiming like "Every 24 HOURS".');
  return { every: Number(match[1]), unit: `${match[2]?.toLowerCase()}s` as Unit };
}
