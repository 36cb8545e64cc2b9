const UNITS: Record<string, (date: Date, n: number) => void> = {
  sec: (date, n) => date.setUTCSeconds(date.getUTCSeconds() + n),
  min: (date, n) => date.setUTCMinutes(date.getUTCMinutes() + n),
  hour: (date, n) => date.setUTCHours(date.getUTCHours() + n),
  day: (date, n) => date.setUTCDate(date.getUTCDate() + n),
  week: (date, n) => date.setUTCDate(date.getUTCDate() + 7 * n),
  fortnight: (date, n) => date.setUTCDate(date.getUTCDate() + 14 * n),
  month: (date, n) => date.setUTCMonth(date.getUTCMonth() + n),
  year: (date, n) => date.setUTCFullYear(date.getUTCFullYear() + n),
};
const UNIT_NAMES: Record<string, string> = { second: 'sec', minute: 'min', mins: 'min', secs: 'sec' };

/**
 * Unix seconds, ISO dates and the part of PHP's strtotime that Keboola users write: `-2 days`, `+1 week 2 hours`,
 * `3 hours ago`, `yesterday`, `today 12:30`, `2013-02-12 15:19:21`, `20130212`, `@1360682361`. Dates without a zone
 * are UTC. Undefined when the text means no moment.
 */
export function parseDateText(text: unknown, now: Date = new Date()): Date | undefined {
  if (typeof text === 'number') return validDate(new Date(text * 1000));
  if (typeof text !== 'string') return undefined;
  let rest = text.trim().toLowerCase();
  if (rest === '') return undefined;
  if (/^@?-?\d{1,7}$|^@?-?\d{9,12}$/.test(rest)) return validDate(new Date(Number(rest.replace('@', '')) * 1000));

  let date = new Date(now);
  const absolute =
    /^(\d{4})-?(\d{2})-?(\d{2})(?:[t ]+(\d{1,2}):(\d{2})(?::(\d{2})(\.\d+)?)?)?\s*(z|utc|gmt|[+-]\d{2}:?\d{2}\b)?/.exec(
      rest,
    );
  if (absolute) {
    const [whole, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'z'] = absolute;
    const offset = /^[+-]/.test(zone) ? `${zone.slice(0, 3)}:${zone.slice(-2)}` : 'Z';
    date = new Date(
      `${year}-${month}-${day}T${hour.padStart(2, '0')}:${minute}:${second}${fraction.slice(0, 4)}${offset}`,
    );
    // `2024-02-31` is not a day, though Date would take it for March.
    if (Number.isNaN(date.getTime()) || new Date(`${year}-${month}-${day}T00:00:00Z`).getUTCDate() !== Number(day)) {
      return undefined;
    }
    rest = rest.slice(whole.length);
  }
  return applyRelativeParts(date, rest);
}

function applyRelativeParts(start: Date, text: string): Date | undefined {
  const date = new Date(start);
  let rest = text;
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '');
    if (rest === '') return validDate(date);
    const word = /^(now|today|midnight|noon|yesterday|tomorrow)\b/.exec(rest);
    const time = /^(\d{1,2}):(\d{2})(?::(\d{2}))?(?!\d)/.exec(rest);
    const amount =
      /^([+-]?)\s*(\d{1,9})\s*(sec|secs|second|min|mins|minute|hour|day|week|fortnight|month|year)s?\b(\s+ago\b)?/.exec(
        rest,
      );
    const step = /^(last|previous|next)\s+(sec|second|min|minute|hour|day|week|fortnight|month|year)\b/.exec(rest);
    if (word) {
      if (word[1] !== 'now') date.setUTCHours(word[1] === 'noon' ? 12 : 0, 0, 0, 0);
      if (word[1] === 'yesterday') date.setUTCDate(date.getUTCDate() - 1);
      if (word[1] === 'tomorrow') date.setUTCDate(date.getUTCDate() + 1);
      rest = rest.slice(word[0].length);
    } else if (time) {
      if (Number(time[1]) > 24 || Number(time[2]) > 59 || Number(time[3] ?? 0) > 59) return undefined;
      date.setUTCHours(Number(time[1]), Number(time[2]), Number(time[3] ?? 0), 0);
      rest = rest.slice(time[0].length);
    } else if (amount) {
      const negative = (amount[1] === '-') !== (amount[4] !== undefined);
      moveBy(date, amount[3] ?? '', Number(amount[2]) * (negative ? -1 : 1));
      rest = rest.slice(amount[0].length);
    } else if (step) {
      moveBy(date, step[2] ?? '', step[1] === 'next' ? 1 : -1);
      rest = rest.slice(step[0].length);
    } else return undefined;
  }
}

function moveBy(date: Date, unit: string, n: number): void {
  UNITS[UNIT_NAMES[unit] ?? unit]?.(date, n);
}

function validDate(date: Date): Date | undefined {
  return Number.isNaN(date.getTime()) || Math.abs(date.getUTCFullYear()) > 9999 ? undefined : date;
}
