import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunLimits } from '../../src/drivers/runtimes/contract.ts';
import { type Bench, openBench, type RuntimeFixture } from './runtime-suite.ts';

const sh = (script: string, ...args: string[]) => ['/bin/sh', '-c', script, 'sh', ...args];
const limits: RunLimits = { timeoutMs: 20_000, memoryMb: 256, processes: 64, fileBytes: 1 << 20, logBytes: 1 << 20 };

/** Attempts of real programs to get out, stay on or take too much. */
export function isolationSuite(fixture: RuntimeFixture, mode: 'plain' | 'bubblewrap'): void {
  const isSandboxed = mode === 'bubblewrap';
  const isRoot = process.getuid?.() === 0;
  const attempt = (name: string, applies: boolean, body: (bench: Bench, t: TestContext) => Promise<void>) => {
    const skip = fixture.skip ?? (applies ? undefined : 'only a sandbox (or a server run by root) can prevent that');
    test(`${fixture.name}: ${name}`, skip === undefined ? {} : { skip }, async (t) =>
      body(await openBench(t, fixture), t),
    );
  };

  attempt('the server process and its files are out of reach', isSandboxed || isRoot, async ({ run, output }, t) => {
    const secret = join(await mkdtemp(join(tmpdir(), 'secret-')), 'key');
    t.after(() => rm(join(secret, '..'), { recursive: true }));
    await writeFile(secret, 'top secret', { mode: 0o600 });
    const { handle } = await run(
      sh('cat "$1"; cat /proc/$2/environ; kill -9 $2; cat /etc/shadow', secret, String(process.pid)),
    );
    assert.equal((await output(handle)).stdout, '');
  });

  attempt(
    'only the data folder and the scratch folder can be written to',
    isSandboxed || isRoot,
    async ({ run, output }) => {
      const script =
        'for d in / /usr /usr/bin /etc /dev /proc /run /data /tmp /dev/shm "$1" "$TMPDIR"; do touch "$d/x" 2>/dev/null && echo "$d"; done';
      const { handle, spec } = await run(sh(script, '{data}'));
      const written = (await output(handle)).stdout.trim().split('\n');
      const allowed = isSandboxed
        ? ['/data', '/tmp', '/dev/shm']
        : [spec.workDirectory, '/tmp', '/dev/shm', join(spec.logDirectory, 'tmp')];
      assert.deepEqual(
        written.filter((path) => !allowed.includes(path)),
        [],
      );
      assert.ok(written.includes(isSandboxed ? '/data' : spec.workDirectory));
      if (!isSandboxed) await rm('/tmp/x', { force: true }).then(() => rm('/dev/shm/x', { force: true }));
    },
  );

  attempt('a program finds its own name and the certificates of the system', true, async ({ run, output }) => {
    const { handle } = await run(sh('id -un || id -u; for f in /etc/passwd /etc/ssl; do test -e $f && ls $f; done'));
    const { stdout, stderr } = await output(handle);
    if (isSandboxed) assert.equal(stdout.split('\n')[0], 'component', stderr);
    assert.doesNotMatch(stderr, /denied/);
    assert.match(stdout, /\/etc\/passwd/);
  });

  attempt('another run cannot be seen', isSandboxed, async ({ run, output }) => {
    await run(sh('sleep 30'));
    const { handle } = await run(sh('ls -d /proc/[0-9]* | wc -l; ls "$1"/..', '{data}'));
    const { stdout } = await output(handle);
    assert.ok(Number(stdout.split('\n')[0]) < 8, stdout);
    assert.doesNotMatch(stdout, /run-1/);
  });

  attempt('without network not even loopback answers', isSandboxed, async ({ run, output }, t) => {
    const server = createServer((socket) => socket.end('in')).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const script = `exec 3<>/dev/tcp/127.0.0.1/${port} && cat <&3`;
    const { handle } = await run(['/bin/bash', '-c', script]);
    assert.equal((await output(handle)).stdout, '');
    const { handle: open } = await run(['/bin/bash', '-c', script], { network: 'full' });
    assert.equal((await output(open)).stdout, 'in');
  });

  attempt('a program is nobody in particular', isSandboxed || isRoot, async ({ run, output }) => {
    const { handle } = await run(sh('id -u; grep -E "CapEff|NoNewPrivs" /proc/self/status'));
    const { stdout } = await output(handle);
    if (isRoot) assert.doesNotMatch(stdout, /^0$/m);
    assert.match(stdout, /CapEff:\s0000000000000000/);
    assert.match(stdout, /NoNewPrivs:\s1/);
  });

  attempt('descendants that fled into the background end with the run', true, async ({ runtime, run }) => {
    const marker = `31${process.pid}${isSandboxed ? 1 : 2}`;
    const { handle } = await run(sh('(setsid sh -c "sleep $1 & sleep $1 &" &) ; sleep 0.3; exit 0', marker));
    assert.equal((await runtime.wait(handle)).code, 0);
    assert.deepEqual(processesWith(marker), []);
  });

  attempt('stop ends descendants in sessions of their own', true, async ({ runtime, run }) => {
    const marker = `32${process.pid}${isSandboxed ? 1 : 2}`;
    const { handle } = await run(sh('setsid sh -c "trap : TERM; while :; do sleep $1; done" & sleep $1', marker));
    await sleep(250);
    assert.notDeepEqual(processesWith(marker), []);
    await runtime.stop(handle, 100);
    assert.deepEqual(processesWith(marker), []);
  });

  attempt('a fork bomb is contained', true, async ({ runtime, run }) => {
    const { handle } = await run(sh('bomb() { bomb | bomb & }; bomb; sleep 30'), {
      limits: { ...limits, timeoutMs: 800 },
    });
    const begin = Date.now();
    const { code } = await runtime.wait(handle);
    assert.notEqual(code, 0);
    assert.ok(Date.now() - begin < 4000);
    // The machine can still start things, and the next run works.
    const next = await run(sh('exit 0'));
    assert.equal((await runtime.wait(next.handle)).code, 0);
  });

  attempt('no file grows beyond its limit', true, async ({ runtime, run, output }) => {
    const { handle } = await run(sh('head -c 3000000 /dev/zero > big; stat -c %s big; exit 5'), { limits });
    assert.equal((await runtime.wait(handle)).code, 5);
    assert.equal((await output(handle)).stdout.trim(), '1048576');
  });

  attempt('its own code is readable wherever it lies', true, async ({ run, output }, t) => {
    const code = await mkdtemp(join(tmpdir(), 'code-'));
    t.after(() => rm(code, { recursive: true }));
    await writeFile(join(code, 'main.sh'), 'echo code', { mode: 0o600 });
    const { handle } = await run(['/bin/sh', join(code, 'main.sh')], { readOnlyPaths: [code] });
    assert.equal((await output(handle)).stdout.trim(), 'code');
  });

  attempt('nothing stays when even the witness was killed', true, async ({ runtime, run }) => {
    const marker = `33${process.pid}${isSandboxed ? 1 : 2}`;
    const { handle } = await run(sh('setsid sleep $1 & sleep $1', marker));
    await sleep(200);
    const notes = JSON.parse(readFileSync(join(handle.logDirectory, 'run.json'), 'utf8')) as {
      process: { pid: number };
    };
    process.kill(notes.process.pid, 'SIGKILL');
    assert.equal((await runtime.wait(handle)).reason, 'lost');
    assert.deepEqual(processesWith(marker), []);
  });

  attempt('a run whose machine went down is lost, and ended for good', true, async ({ runtime, run }) => {
    const marker = `34${process.pid}${isSandboxed ? 1 : 2}`;
    const { handle } = await run(sh('setsid sleep $1 & sleep $1', marker));
    await sleep(200);
    await runtime.close();
    const notes = JSON.parse(readFileSync(join(handle.logDirectory, 'run.json'), 'utf8')) as {
      process: { pid: number };
    };
    process.kill(notes.process.pid, 'SIGKILL');
    await sleep(100);
    const next = await fixture.open(runtime);
    assert.equal(await next.recover(handle), 'lost');
    assert.deepEqual(processesWith(marker), []);
    await next.close();
  });
}

function processesWith(argument: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
      const isDead = /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
      return command.includes(argument) && !isDead ? [command.join(' ')] : [];
    } catch {
      return [];
    }
  });
}
