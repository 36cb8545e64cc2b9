import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canMove, isFinal, isKillable, JOB_STATUSES, type JobStatus, statusesBefore } from './job-status.ts';

/** Written a second time, by hand: every pair that is allowed. All others must be refused. */
const allowed = new Set([
  'created>waiting',
  'created>running',
  'created>cancelled',
  'waiting>running',
  'waiting>cancelled',
  'running>waiting',
  'running>stopping',
  'running>succeeded',
  'running>failed',
  'stopping>stopped',
  'stopping>failed',
]);

test('of all pairs of statuses exactly the written ones are allowed', () => {
  for (const from of JOB_STATUSES)
    for (const to of JOB_STATUSES) assert.equal(canMove(from, to), allowed.has(`${from}>${to}`), `${from} > ${to}`);
});

test('statusesBefore is the same table read backwards', () => {
  for (const to of JOB_STATUSES)
    assert.deepEqual(
      statusesBefore(to),
      JOB_STATUSES.filter((from) => canMove(from, to)),
    );
});

test('every status can be reached and every unfinished one can end', () => {
  const reached = new Set<JobStatus>(['created']);
  for (const from of reached) for (const to of JOB_STATUSES) if (canMove(from, to)) reached.add(to);
  assert.deepEqual([...reached].sort(), [...JOB_STATUSES].sort());
  const final: JobStatus[] = ['succeeded', 'failed', 'stopped', 'cancelled'];
  assert.deepEqual(JOB_STATUSES.filter(isFinal), final);
  assert.deepEqual(JOB_STATUSES.filter(isKillable), ['created', 'waiting', 'running']);
});
