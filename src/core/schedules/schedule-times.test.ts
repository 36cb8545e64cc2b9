import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../errors.ts';
import { assertRecurrence, nextTime, type Recurrence } from './schedule-times.ts';

const cron = (expression: string, timezone = 'UTC'): Recurrence => ({ type: 'cron', expression, timezone });
const every = (seconds: number): Recurrence => ({ type: 'interval', seconds, timezone: 'UTC' });

/** The times after one another, as a scheduler that is never late meets them. */
function times(recurrence: Recurrence, from: string, count: number): string[] {
  const found: string[] = [];
  for (let at = new Date(from); found.length < count; ) {
    const next = nextTime(recurrence, at, at);
    assert.ok(next && next > at);
    found.push(next.toISOString().replace(/:00\.000Z$/, ''));
    at = next;
  }
  return found;
}

test('cron in both spellings comes when it says', () => {
  const rows: [Recurrence, string, string[]][] = [
    [cron('*/20 * * * *'), '2026-01-01T00:05:00Z', ['2026-01-01T00:20', '2026-01-01T00:40', '2026-01-01T01:00']],
    [cron('0 2 * * *', 'Europe/Warsaw'), '2025-01-02T12:00:00Z', ['2025-01-03T01:00', '2025-01-04T01:00']],
    [cron('0 0 * * 0'), '2026-01-01T00:00:00Z', ['2026-01-04T00:00', '2026-01-11T00:00']],
    [cron('0 0 * * 7'), '2026-01-01T00:00:00Z', ['2026-01-04T00:00']],
    // Unix: a day that fits one of the two fields counts.
    [cron('0 0 13 * 5'), '2026-01-01T00:00:00Z', ['2026-01-02T00:00', '2026-01-09T00:00', '2026-01-13T00:00']],
    [cron('0 6 29 2 *'), '2026-01-01T00:00:00Z', ['2028-02-29T06:00', '2032-02-29T06:00']],
    [cron('0 6 * * *', '+0530'), '2026-01-01T00:00:00Z', ['2026-01-01T00:30', '2026-01-02T00:30']],
    // Quartz: seconds first, Sunday is 1.
    [cron('0 0/15 * * * ?'), '2026-01-01T00:00:00Z', ['2026-01-01T00:15', '2026-01-01T00:30']],
    [cron('0 0 12 ? * 1'), '2026-01-01T00:00:00Z', ['2026-01-04T12:00']],
    [cron('0 0 12 ? * MON-FRI'), '2026-01-02T13:00:00Z', ['2026-01-05T12:00', '2026-01-06T12:00']],
    [cron('0 0 12 ? * L'), '2026-01-01T00:00:00Z', ['2026-01-03T12:00']],
    [cron('0 0 12 ? * 6L'), '2026-01-01T00:00:00Z', ['2026-01-30T12:00', '2026-02-27T12:00']],
    [cron('0 0 12 ? * 6#3'), '2026-01-01T00:00:00Z', ['2026-01-16T12:00', '2026-02-20T12:00']],
    [cron('0 0 12 L * ?'), '2026-01-01T00:00:00Z', ['2026-01-31T12:00', '2026-02-28T12:00']],
    [cron('0 0 12 15W * ?'), '2026-02-01T00:00:00Z', ['2026-02-16T12:00', '2026-03-16T12:00']],
    [cron('0 0 12 1 1 ? 2030'), '2026-01-01T00:00:00Z', ['2030-01-01T12:00']],
  ];
  for (const [recurrence, from, expected] of rows)
    assert.deepEqual(times(recurrence, from, expected.length), expected, JSON.stringify(recurrence));
});

test('when clocks are put forward a fixed time comes late and once, a recurring one leaves the gap out', () => {
  // 2026-03-29 02:00 becomes 03:00 in Prague, which is 01:00 UTC.
  const from = '2026-03-28T02:00:00Z';
  assert.deepEqual(times(cron('30 2 * * *', 'Europe/Prague'), from, 2), ['2026-03-29T01:00', '2026-03-30T00:30']);
  assert.deepEqual(times(cron('30 2,14 * * *', 'Europe/Prague'), from, 4), [
    '2026-03-28T13:30',
    '2026-03-29T01:00',
    '2026-03-29T12:30',
    '2026-03-30T00:30',
  ]);
  const halfHourly = times(cron('*/30 * * * *', 'Europe/Prague'), '2026-03-29T00:20:00Z', 3);
  assert.deepEqual(halfHourly, ['2026-03-29T00:30', '2026-03-29T01:00', '2026-03-29T01:30']);
});

test('when clocks are put back a fixed time comes once, a recurring one in both hours', () => {
  // 2026-10-25 03:00 becomes 02:00 in Prague, which is 01:00 UTC.
  const fixed = times(cron('30 2 * * *', 'Europe/Prague'), '2026-10-24T12:00:00Z', 2);
  assert.deepEqual(fixed, ['2026-10-25T00:30', '2026-10-26T01:30']);
  const hourly = times(cron('0 * * * *', 'Europe/Prague'), '2026-10-24T23:30:00Z', 3);
  assert.deepEqual(hourly, ['2026-10-25T00:00', '2026-10-25T01:00', '2026-10-25T02:00']);
  // On the southern half of the world it is the other way round, and half an hour on Lord Howe.
  const south = times(cron('45 1 * * *', 'Australia/Lord_Howe'), '2026-04-04T00:00:00Z', 2);
  assert.equal(new Set(south.map((text) => text.slice(0, 10))).size, 2);
});

test('an interval stays on its grid, and what was missed is one time', () => {
  const due = new Date('2026-01-01T00:00:00Z');
  const after = (seconds: number) => nextTime(every(30), due, new Date(due.getTime() + seconds * 1000))?.toISOString();
  assert.equal(after(0), '2026-01-01T00:00:30.000Z');
  assert.equal(after(29.9), '2026-01-01T00:00:30.000Z');
  assert.equal(after(30), '2026-01-01T00:01:00.000Z');
  assert.equal(after(100_000), '2026-01-02T03:47:00.000Z');
  assert.equal(after(-5), '2026-01-01T00:00:30.000Z', 'a clock that is behind');
  const early = nextTime(cron('0 * * * *'), due, new Date(due.getTime() - 5000));
  assert.equal(early?.toISOString(), '2026-01-01T01:00:00.000Z', 'a clock that is behind meets no time twice');
});

test('what is no time is refused with its reason', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  const rows: [Recurrence, RegExp][] = [
    [cron(''), /five, six or seven fields/],
    [cron('* * * *'), /five, six or seven fields/],
    [cron('@daily'), /five, six or seven fields/],
    [cron('61 * * * *'), /no cron expression: Invalid value for minute/],
    [cron('x * * * *'), /no cron expression/],
    [cron('0 0 12 1 * 2'), /has to be "\?"/],
    [cron('0 0 30 2 *'), /never comes/],
    [cron('0 0 12 1 1 ? 2020'), /never comes/],
    [cron('0 0 * * *', 'Europe/Nowhere'), /no time zone/],
    [cron('0 0 * * *', '+9900'), /no time zone/],
    [cron(`0 0 * * ${'1,'.repeat(200)}1`), /too long/],
    [every(0), /whole number/],
    [every(1.5), /whole number/],
    [{ type: 'interval', seconds: 60, timezone: 'x' }, /no time zone/],
  ];
  for (const [recurrence, message] of rows) {
    const check = (error: unknown) =>
      error instanceof AppError && error.code === 'schedule.invalid-time' && message.test(error.message);
    assert.throws(() => assertRecurrence(recurrence, now), check, JSON.stringify(recurrence));
  }
});
