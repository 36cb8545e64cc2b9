import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobRun } from '../job-run.ts';
import { tableInBranch } from './branch-tables.ts';

test('a job in a branch writes beside what everybody uses, a job in the default branch where it says', () => {
  const ctx = (isDefaultBranch: boolean) =>
    ({ ctx: { actor: { isDefaultBranch }, job: { branchId: 12 } } }) as unknown as Pick<JobRun, 'ctx'>;
  const cases = [
    ['in.c-main.users', 'in.c-12-main.users'],
    ['out.main.users', 'out.c-12-main.users'],
    ['in.c-12-main.users', 'in.c-12-main.users'],
    ['in.c-123-main.users', 'in.c-12-123-main.users'],
    ['nonsense', 'nonsense'],
  ] as const;
  for (const [named, written] of cases) {
    assert.equal(tableInBranch(ctx(false), named), written);
    assert.equal(tableInBranch(ctx(true), named), named);
  }
});
