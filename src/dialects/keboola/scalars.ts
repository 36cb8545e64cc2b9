export { parseDateText as parseDate } from '../../lib/date-text.ts';

import { AppError } from '../../core/errors.ts';

const BOOLEANS = new Map<unknown, boolean>([
  [true, true],
  [false, false],
  [1, true],
  [0, false],
  ['1', true],
  ['0', false],
  ['true', true],
  ['false', false],
  // The Python client sends the text of its own literals.
  ['True', true],
  ['False', false],
  ['', false],
]);

/** A boolean in any of the spellings Keboola clients use. Anything else is an error that names the parameter. */
export function parseBoolean(value: unknown, name: string): boolean {
  const parsed = BOOLEANS.get(value);
  if (parsed === undefined) {
    throw new AppError('invalid', 'request.not-boolean', notBooleanMessage(value, name), {
      details: { errors: [{ key: name, message: notBooleanMessage(value, name) }] },
    });
  }
  return parsed;
}

/** Whether `parseBoolean` would take the value. */
export function isBooleanLike(value: unknown): boolean {
  return BOOLEANS.has(value);
}

export function notBooleanMessage(value: unknown, name: string): string {
  const shown = typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);
  return `Value "${shown}" of "${name}" is not boolean. Possible values are true, false, 1, 0.`;
}

/** `2025-01-01T00:00:00+0000`: no fraction, no colon in the offset, always UTC. PHP and Go clients parse it strictly. */
export function formatDate(date: Date): string {
  return `${date.toISOString().slice(0, 19)}+0000`;
}

/** As `formatDate`, for members that may be empty. */
export function formatOptionalDate(date: Date | null | undefined): string | null {
  return date === null || date === undefined ? null : formatDate(date);
}

/** A comma separated text or an array of texts; empty items fall away. */
export function parseList(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  const items = Array.isArray(value) ? value : String(value).split(',');
  return items.map((item) => String(item).trim()).filter((item) => item !== '');
}
