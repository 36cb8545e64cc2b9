import { AppError } from '../../../core/errors.ts';
import { type FieldProblems, objectErrors } from '../../../core/objects/object-errors.ts';
import type { Schedule, SchedulePatch } from '../../../core/schedules/schedule-model.ts';
import { assertRecurrence, type Recurrence } from '../../../core/schedules/schedule-times.ts';
import { SCRIPT_COMPONENT, SCRIPT_LIMITS } from '../../../core/scripts/script-model.ts';
import { INTERVAL_SECONDS } from '../field-metadata.ts';
import { readPayload } from '../scripts/script-body.ts';

const MAX_CRONTAB = 40;

/**
 * The body of a POST, PUT or PATCH. What a whole body leaves out is as if it were new; a part keeps what `current` has,
 * and naming one of crontab and interval is enough to replace the other. All problems are told at once.
 */
export function readSchedule(body: object, { current }: { current?: Schedule | undefined } = {}): SchedulePatch {
  const members = body as Record<string, unknown>;
  const problems: FieldProblems = {};
  const isWhole = current === undefined;
  const text = (name: string, maxLength: number, isRequired: boolean): string | undefined => {
    const value = members[name];
    if (value === undefined) {
      if (isRequired) problems[name] = ['This field is required.'];
      return undefined;
    }
    const problem = textProblem(value, maxLength, isRequired);
    if (problem !== undefined) problems[name] = [problem];
    return String(value ?? '');
  };
  const patch: SchedulePatch = {
    name: text('label', SCRIPT_LIMITS.labelLength, isWhole),
    description: text('description', 10_000, false) ?? (isWhole ? '' : undefined),
    target: readTarget(members.script, isWhole, problems),
    recurrence: readRecurrence(members, current?.recurrence, problems),
  };
  if (members.payload !== undefined || isWhole) {
    const payload = readPayload(body);
    if (Buffer.byteLength(JSON.stringify(payload)) > SCRIPT_LIMITS.argsBytes)
      problems.payload = ['Payload is too big.'];
    patch.input = Object.keys(payload as object).length > 0 ? { payload } : {};
  }
  if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
  return patch;
}

export const unknownScript = (id: string) =>
  objectErrors.invalid({ script: [`Invalid pk "${id}" - object does not exist.`] });

function readTarget(value: unknown, isRequired: boolean, problems: FieldProblems): SchedulePatch['target'] {
  if (value === undefined) {
    if (isRequired) problems.script = ['This field is required.'];
    return undefined;
  }
  if (value === null) problems.script = ['This field may not be null.'];
  else if (!/^\d{1,15}$/.test(String(value)))
    problems.script = [
      `Incorrect type. Expected pk value, received ${typeof value === 'string' ? 'str' : typeof value}.`,
    ];
  return { componentId: SCRIPT_COMPONENT, configurationId: String(value) };
}

function readRecurrence(
  members: Record<string, unknown>,
  current: Recurrence | undefined,
  problems: FieldProblems,
): Recurrence | undefined {
  const { interval_sec: interval, crontab, timezone: zone } = members;
  const isNamed = (value: unknown) => value !== undefined && value !== null && value !== '';
  if (current && interval === undefined && crontab === undefined && zone === undefined) return undefined;
  const timezone = isNamed(zone) ? String(zone) : (current?.timezone ?? 'UTC');
  let recurrence: Recurrence | undefined;
  if (isNamed(interval) && isNamed(crontab)) {
    problems.record = ["You can't specify both crontab and interval_sec."];
  } else if (isNamed(interval)) {
    const seconds = Number(interval);
    const problem = secondsProblem(interval, seconds);
    if (problem !== undefined) problems.interval_sec = [problem];
    else recurrence = { type: 'interval', seconds, timezone };
  } else if (isNamed(crontab)) {
    const expression = String(crontab).trim();
    if (expression.length > MAX_CRONTAB)
      problems.crontab = [`Ensure this field has no more than ${MAX_CRONTAB} characters.`];
    else if (expression.split(/\s+/).length !== 5) problems.crontab = ['Crontab has to have 5 parts specified.'];
    else recurrence = { type: 'cron', expression, timezone };
  } else if (current && !(current.type === 'cron' ? crontab === null : interval === null)) {
    recurrence = { ...current, timezone };
  } else {
    problems.record = ['Either crontab or interval_sec has to be specified.'];
  }
  return recurrence && isPossible(recurrence, problems) ? recurrence : undefined;
}

function isPossible(recurrence: Recurrence, problems: FieldProblems): boolean {
  const { timezone } = recurrence;
  const attempt = (name: string, tried: Recurrence, tell: (reason: string) => string): boolean => {
    try {
      assertRecurrence(tried, new Date());
      return true;
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      problems[name] = [tell(error.message)];
      return false;
    }
  };
  const isZone = attempt(
    'timezone',
    { type: 'interval', seconds: 60, timezone },
    () => `"${timezone}" is not a valid choice.`,
  );
  return isZone && attempt('crontab', recurrence, (reason) => `Not a valid crontab, ${reason}`);
}

function secondsProblem(value: unknown, seconds: number): string | undefined {
  const { min_value: min, max_value: max } = INTERVAL_SECONDS;
  if ((typeof value !== 'number' && typeof value !== 'string') || !Number.isInteger(seconds))
    return 'A valid integer is required.';
  if (seconds < min) return `Ensure this value is greater than or equal to ${min}.`;
  return seconds > max ? `Ensure this value is less than or equal to ${max}.` : undefined;
}

function textProblem(value: unknown, maxLength: number, isRequired: boolean): string | undefined {
  if (value === null) return 'This field may not be null.';
  if (typeof value !== 'string' && typeof value !== 'number') return 'Not a valid string.';
  if (isRequired && String(value).trim() === '') return 'This field may not be blank.';
  if (String(value).includes('\0')) return 'Null characters are not allowed.';
  return String(value).length > maxLength ? `Ensure this field has no more than ${maxLength} characters.` : undefined;
}
