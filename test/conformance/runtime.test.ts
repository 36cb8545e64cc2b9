import { FakeMachine, FakeRuntime, type FakeStep } from '../../src/drivers/runtimes/fake/fake-runtime.ts';
import { openProcessRuntime } from '../../src/drivers/runtimes/process/process-runtime.ts';
import { isolationSuite } from './runtime-isolation-suite.ts';
import { type Programs, type RuntimeFixture, runtimeSuite } from './runtime-suite.ts';

const fake = (...steps: FakeStep[]) => ['fake', JSON.stringify(steps)];

const fakePrograms: Programs = {
  printBoth: (out, err) => fake({ print: out }, { print: err, to: 'stderr' }),
  printVariable: (printVariable) => fake({ printVariable }),
  exitWith: (exit) => fake({ exit }),
  sleepThen: (sleepMs, print) => fake({ sleepMs }, { print }),
  hang: () => fake({ hang: true }),
  hangPolitelyDeaf: () => fake({ hang: true, ignoreTerm: true }),
  copyInData: (copy, to) => fake({ copy, to }),
  printForever: () => fake(...Array.from({ length: 64 }, () => ({ print: 'y\n'.repeat(1 << 16) }))),
  useMemory: (useMemoryMb) => fake({ useMemoryMb }),
};

const sh = (script: string, ...args: string[]) => ['/bin/sh', '-c', script, 'sh', ...args];

const shellPrograms: Programs = {
  printBoth: (out, err) => sh('printf %s "$1"; printf %s "$2" >&2', out, err),
  printVariable: (name) => sh('eval "printf %s \\"\\$$1\\""', name),
  exitWith: (code) => sh('exit "$1"', String(code)),
  sleepThen: (ms, out) => sh('sleep "$1"; printf %s "$2"', String(ms / 1000), out),
  hang: () => sh('sleep 60'),
  hangPolitelyDeaf: () => sh("trap '' TERM; while :; do sleep 1; done"),
  copyInData: (from, to) => sh('cp "$1" "$2"', from, to),
  printForever: () =>
    sh('while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done'),
  // dd keeps its block in memory while it waits for its output to be read.
  useMemory: (mb) => sh('dd if=/dev/zero bs="$1" count=1 2>/dev/null | { sleep 0.5; cat >/dev/null; }', `${mb}M`),
};

const machines = new WeakMap<object, FakeMachine>();
runtimeSuite({
  name: 'fake',
  programs: fakePrograms,
  async open(previous) {
    const machine = (previous && machines.get(previous)) ?? new FakeMachine();
    const runtime = new FakeRuntime(machine);
    machines.set(runtime, machine);
    return runtime;
  },
});

async function processFixture(mode: 'plain' | 'bubblewrap'): Promise<RuntimeFixture> {
  const open = () => openProcessRuntime({ mode, log: { warn() {} } });
  const runtime = await open();
  const problem = await runtime.check().then(
    () => undefined,
    (error: Error) => error.message,
  );
  await runtime.close();
  return { name: `process, ${mode}`, programs: shellPrograms, open, ...(problem && { skip: problem }) };
}

for (const mode of ['plain', 'bubblewrap'] as const) {
  const fixture = await processFixture(mode);
  runtimeSuite(fixture);
  isolationSuite(fixture, mode);
}
