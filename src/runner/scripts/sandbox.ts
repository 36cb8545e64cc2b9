import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rmdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { RunHandle, Runtime } from '../../drivers/runtimes/contract.ts';
import type { Json } from '../../lib/json.ts';
import { removeTree } from '../steps/work-dir.ts';

/**
 * A program that waits for a script, carries it out and ends: a sandbox is used once, by one tenant.
 *
 * <jobs>/scripts/<id>/job     the job it was given to; absent while it waits
 *                    /data    what the script sees: run.json (what to do), out/response.json (what it answers),
 *                             api.sock (the way to the platform's HTTP address)
 *                    /log     output and notes of the runtime
 *
 * Like every program it outlives the server. The job keeps the handle before it gives the order, so after a crash a
 * server finds one that waits (and gives the order), one that runs, or one that has ended.
 */
export type Sandbox = { folder: string; handle: RunHandle };

export type Order = { source: string; args: Json; config: Json; meta: Json; apiScheme: 'http' | 'https' };

export type SandboxPlace = { runtime: Runtime; jobsDirectory: string; program: string; memoryMb: number };

const ORDER = 'run.json';
const NODE = process.execPath;
const limits = { processes: 64, fileBytes: 64 * 1024 ** 2, logBytes: 4 * 1024 ** 2 };

const scriptsFolder = async ({ runtime, jobsDirectory }: Pick<SandboxPlace, 'runtime' | 'jobsDirectory'>) =>
  path.join(await runtime.workRoot(jobsDirectory), 'scripts');

/** `lifeMs`: from now on, waiting and running together. */
export async function startSandbox(place: SandboxPlace, lifeMs: number): Promise<Sandbox> {
  const { runtime, program, memoryMb } = place;
  const id = `script-${randomBytes(8).toString('hex')}`;
  const root = await scriptsFolder(place);
  const folder = path.join(root, id);
  const data = path.join(folder, 'data');
  // A program with a user id of its own passes through, and sees no list of others.
  for (const one of [path.dirname(root), root, folder]) await mkdir(one, { recursive: true, mode: 0o711 });
  await mkdir(path.join(data, 'out'), { recursive: true, mode: 0o700 });
  const handle = await runtime.start({
    id,
    command: [NODE, path.join(program, 'main.cjs'), '{data}'],
    workDirectory: data,
    // Node reads the machine's settings at start, which not every machine shows to every user, and dies over it.
    environment: { OPENSSL_CONF: '/dev/null' },
    readOnlyPaths: [program, ...(NODE.startsWith('/usr/') ? [] : [path.dirname(NODE)])],
    logDirectory: path.join(folder, 'log'),
    network: 'none',
    limits: { ...limits, timeoutMs: lifeMs, memoryMb },
  });
  return { folder, handle };
}

/** What the script is to do. Once only: a second order would be another run. */
export async function giveOrder({ folder }: Sandbox, jobId: number, order: Order): Promise<void> {
  const target = path.join(folder, 'data', ORDER);
  await writeFile(path.join(folder, 'job'), String(jobId), { mode: 0o600 });
  // Written aside, so that the program never reads half of it. Readable for its user, who alone gets into the folder.
  await writeFile(`${target}.new`, JSON.stringify(order), { mode: 0o644 });
  await rename(`${target}.new`, target);
}

/** Whether an order was given; after that the data folder is the script's. */
export async function stateOf({ folder }: Sandbox): Promise<'waiting' | 'given' | 'gone'> {
  const given = await readFile(path.join(folder, 'job')).catch(() => undefined);
  if (!given) return (await stat(path.join(folder, 'data')).catch(() => undefined)) ? 'waiting' : 'gone';
  return (await readdir(path.join(folder, 'data')).catch(() => [ORDER])).includes(ORDER) ? 'given' : 'waiting';
}

/** Ends what runs, and removes all of it. */
export async function removeSandbox(runtime: Runtime, { folder, handle }: Sandbox): Promise<void> {
  await runtime.remove(handle);
  await removeTree(folder);
}

/** Once at the end: the folder of all sandboxes, unless runs go on in it. */
export async function leaveSandboxes(place: Pick<SandboxPlace, 'runtime' | 'jobsDirectory'>): Promise<void> {
  await rmdir(await scriptsFolder(place)).catch(() => undefined);
}

/** Once at start: what waited for a server that is gone, and what a crash left of runs that are over. */
export async function sweepSandboxes(parts: {
  runtime: Runtime;
  jobsDirectory: string;
  unfinished(jobIds: number[]): Promise<number[]>;
}): Promise<void> {
  const { runtime, unfinished } = parts;
  const root = await scriptsFolder(parts);
  for (const id of await readdir(root).catch(() => [])) {
    const folder = path.join(root, id);
    const jobId = Number(await readFile(path.join(folder, 'job'), 'utf8').catch(() => '0'));
    if (jobId > 0 && (await unfinished([jobId])).length > 0) continue;
    const sandbox = { folder, handle: { runtime: runtime.name, id, logDirectory: path.join(folder, 'log') } };
    await runtime.recover(sandbox.handle);
    await removeSandbox(runtime, sandbox);
  }
}
