import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunExit } from '../../drivers/runtimes/contract.ts';
import { type ExitFacts, exitProblem } from './container.ts';

const facts: ExitFacts = {
  stdout: '',
  stderr: '',
  image: 'my/image:1.2',
  name: 'job-1-0',
  program: 'python3',
  memoryMb: 256,
  timeoutSeconds: 60,
  tellsAll: false,
};

const exit = (code: number, reason: RunExit['reason'] = 'exited', seconds = 1): RunExit => ({
  code,
  reason,
  startedAt: '2025-01-01T00:00:00.000Z',
  finishedAt: new Date(Date.UTC(2025, 0, 1) + seconds * 1000).toISOString(),
});

test('an exit means the same as in the original', () => {
  const rows: [RunExit, Partial<ExitFacts>, { kind: string; message: string } | undefined][] = [
    [exit(0), { stderr: 'warning' }, undefined],
    [exit(1), { stderr: ' bad key \n', stdout: 'x' }, { kind: 'invalid', message: 'bad key' }],
    [exit(1), { stdout: 'from stdout' }, { kind: 'invalid', message: 'from stdout' }],
    [exit(1), {}, { kind: 'invalid', message: 'No error message.' }],
    [exit(137), {}, { kind: 'invalid', message: 'Component terminated. Possibly due to out of memory error' }],
    [
      exit(137, 'exited', 61),
      {},
      { kind: 'invalid', message: 'Running my/image:1.2 container exceeded the timeout of 60 seconds.' },
    ],
    [
      exit(137, 'timeout'),
      {},
      { kind: 'invalid', message: 'Running my/image:1.2 container exceeded the timeout of 60 seconds.' },
    ],
    [exit(0, 'out-of-memory'), {}, { kind: 'invalid', message: 'Component out of memory (exceeded 256M)' }],
    [exit(2), { stderr: 'boom' }, { kind: 'internal', message: "my/image:1.2 container 'job-1-0' failed: (2) boom" }],
    [
      exit(2),
      { stderr: 'boom', tellsAll: true },
      { kind: 'invalid', message: "my/image:1.2 container 'job-1-0' failed: (2) boom" },
    ],
    [
      exit(127),
      { stderr: 'sh: python3: not found' },
      {
        kind: 'unavailable',
        message: 'The program "python3" that runs this component is not installed on the server.',
      },
    ],
  ];
  for (const [ended, given, expected] of rows) {
    const problem = exitProblem(ended, { ...facts, ...given });
    assert.deepEqual(problem && { kind: problem.kind, message: problem.message }, expected);
  }
});

test('a long message keeps its beginning and its end', () => {
  const message = exitProblem(exit(1), { ...facts, stderr: `start${'x'.repeat(9000)}end` })?.message ?? '';
  assert.match(message, /^start.* \.\.\. .*end$/);
  assert.ok(message.length <= 4000);
});
