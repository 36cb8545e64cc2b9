import { connectorErrors } from '../../core/components/connector-errors.ts';

/**
 * Cron as Quartz writes it: seconds first, a year at the end if one likes, `?` in one of the two fields for days. Read
 * with the time zone at its end, as it is also given back: clients send what they got.
 */
export function fromQuartz(text: string | undefined): { expression: string; timezone: string } {
  if (!text?.trim()) throw connectorErrors.invalidSchedule('A cron schedule needs a cronExpression.');
  const fields = text.trim().split(/\s+/);
  if (fields.at(-1)?.toUpperCase() === 'UTC') fields.pop();
  const isKnown = fields.every((field) => /^[0-9A-Za-z*?,/#-]+$/.test(field));
  if ((fields.length !== 6 && fields.length !== 7) || !isKnown)
    throw connectorErrors.invalidSchedule(`"${text}" is no cron expression of six or seven fields.`);
  if (!/^\d+$/.test(fields[0] ?? ''))
    throw connectorErrors.invalidSchedule(`"${text}" would start more than once a minute: say the second.`);
  return { expression: fields.join(' '), timezone: 'UTC' };
}

export const toQuartz = ({ expression, timezone }: { expression: string; timezone: string }) =>
  `${expression} ${timezone}`;
