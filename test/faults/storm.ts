import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { Client, pause, type QueueJob, type StorageJob } from '../../demo/client.ts';
import { packageRoot } from '../../src/lib/package-root.ts';
import { kill9, type ProcessRow, processesOf } from './processes.ts';

/**
 * Kills a random process of a working platform, again and again, and checks after each recovery that
 *   - every write that was acknowledged is there,
 *   - no load is half visible and none has doubled its rows,
 *   - every job has reached a final state and says the truth about its rows,
 *   - every login that was handed out logs in,
 * and after the last that no file, process or directory has been left behind.
 */
export type StormReport = {
  rounds: number;
  kills: Record<string, number>;
  acknowledged: Acknowledged;
  slowestRecoveryMs: number;
};

type Acknowledged = {
  configurations: number;
  loads: number;
  failedLoads: number;
  transformations: number;
  failedTransformations: number;
  logins: number;
};

export type StormServer = { dataDirectory: string; url: string; token: string };

type Target = 'server' | 'engine' | 'postgres' | 'workspaces' | 'backend' | 'component';
const targets: Target[] = ['server', 'engine', 'postgres', 'workspaces', 'backend', 'component'];

type Login = { id: number; hostname: string; port: number; db: string; user: string; password: string };

/** Rows each batch writes: a table must hold all of them or none. */
const batchRows = 50;

export class Storm {
  readonly #directory = mkdtempSync(path.join(tmpdir(), 'millrace-storm-'));
  readonly #data = path.join(this.#directory, 'data');
  readonly #kills: Record<string, number> = {};
  readonly #loads = new Map<number, number>();
  readonly #transformations = new Map<string, string>();
  readonly #configurations = new Map<string, number>();
  /** By type; those whose drop was not answered are in neither. */
  readonly #logins = new Map<string, Login>();
  readonly #random: () => number;
  #server: ChildProcess | undefined;
  #client: Client | undefined;
  #working = false;
  #nextBatch = 1;
  #slowestMs = 0;
  #token = '';
  #failedLoads = 0;
  #failedTransformations = 0;

  constructor(seed: number) {
    this.#random = mulberry32(seed);
  }

  /** `inspect` looks at the platform after the last round, while it still runs. */
  async run(rounds: number, endBy: number, inspect?: (server: StormServer) => Promise<void>): Promise<StormReport> {
    try {
      await this.#start();
      await this.#prepare();
      let done = 0;
      for (; done < rounds && Date.now() < endBy; done++) await this.#round();
      await this.#verify();
      await this.#restart();
      await this.#verify();
      await this.#nothingLeftBehind();
      await inspect?.({ dataDirectory: this.#data, url: this.#api.url, token: this.#token });
      await this.#stop();
      assert.deepEqual(
        processesOf(this.#data).map((row) => row.command),
        [],
        'processes live on after a stop',
      );
      return {
        rounds: done,
        kills: this.#kills,
        slowestRecoveryMs: Math.round(this.#slowestMs),
        acknowledged: {
          configurations: this.#configurations.size,
          loads: this.#loads.size,
          failedLoads: this.#failedLoads,
          transformations: this.#transformations.size,
          failedTransformations: this.#failedTransformations,
          logins: this.#logins.size,
        },
      };
    } catch (error) {
      const log = path.join(this.#data, 'logs', 'server.log');
      process.stderr.write(`--- end of ${log}\n${tail(log)}\n`);
      throw error;
    } finally {
      for (const row of processesOf(this.#data)) kill9(row.pid);
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }

  async #round(): Promise<void> {
    this.#working = true;
    const work = [this.#loader(), this.#loader(), this.#configurer(), this.#transformer(), this.#provisioner()];
    await pause(200 + this.#random() * 1500);
    const target = targets[Math.floor(this.#random() * targets.length)] ?? 'server';
    const victim = this.#pick(target);
    if (victim && kill9(victim.pid)) this.#kills[target] = (this.#kills[target] ?? 0) + 1;
    // What is under way meets the dead process for a moment, then the callers give up too.
    await pause(100 + this.#random() * 400);
    this.#working = false;
    const started = performance.now();
    if (target === 'server') await this.#restart();
    await Promise.all(work);
    await this.#healthy();
    await this.#verify();
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - started);
  }

  #pick(target: Target): ProcessRow | undefined {
    const all = processesOf(this.#data);
    const of = (test: (row: ProcessRow) => boolean) => {
      const rows = all.filter(test);
      return rows[Math.floor(this.#random() * rows.length)];
    };
    switch (target) {
      case 'server':
        return all.find((row) => row.pid === this.#server?.pid);
      case 'engine':
        return of((row) => row.command.includes('engine-main')) ?? of((row) => row.command.includes('session-main'));
      case 'postgres':
        return of((row) => /bin\/postgres /.test(row.command) && !row.command.includes(this.#workspaces));
      case 'workspaces':
        return of((row) => /bin\/postgres /.test(row.command) && row.command.includes(this.#workspaces));
      case 'backend':
        return of((row) => row.command.startsWith('postgres: ') && row.command.includes('['));
      case 'component':
        return of((row) => row.command.includes('session-main') || /main\.py|bwrap|exit\.json/.test(row.command));
    }
  }

  async #loader(): Promise<void> {
    while (this.#working) {
      const batch = this.#nextBatch++;
      const csv = [
        'batch,n,text',
        ...Array.from({ length: batchRows }, (_, n) => `${batch},${n},"line ""${n}"", of batch"`),
      ].join('\n');
      try {
        const client = this.#api;
        const fileId = await client.upload(`batch-${batch}.csv`, Buffer.from(csv), []);
        const job = await client.call<StorageJob>('POST', '/v2/storage/tables/in.c-storm.batches/import-async', {
          dataFileId: fileId,
          incremental: true,
        });
        this.#loads.set(batch, job.id);
      } catch {
        // Not acknowledged: the batch may or may not be there, but whole.
        await pause(20);
      }
    }
  }

  async #configurer(): Promise<void> {
    for (let n = 1; this.#working; n++) {
      const id = `c${this.#configurations.size + 1}-${n}-${Math.floor(this.#random() * 1e6)}`;
      try {
        await this.#api.call('POST', '/v2/storage/components/keboola.ex-http/configs', {
          configurationId: id,
          name: id,
          configuration: { parameters: { n: 0 } },
        });
        this.#configurations.set(id, 0);
        await this.#api.call('PUT', `/v2/storage/components/keboola.ex-http/configs/${id}`, {
          configuration: { parameters: { n: 1 } },
        });
        this.#configurations.set(id, 1);
      } catch {
        await pause(20);
      }
    }
  }

  async #transformer(): Promise<void> {
    while (this.#working) {
      const mark = `t${this.#transformations.size + 1}-${Math.floor(this.#random() * 1e9)}`;
      const python = this.#random() < 0.5;
      try {
        const job = await this.#api.call<QueueJob>('POST', '/queue/jobs', {
          component: python ? 'keboola.python-transformation-v2' : 'keboola.duckdb-transformation',
          mode: 'run',
          configData: python ? pythonJob(mark) : sqlJob(mark),
        });
        this.#transformations.set(mark, job.id);
      } catch {
        await pause(20);
      }
      await pause(50);
    }
  }

  async #provisioner(): Promise<void> {
    while (this.#working) {
      const type = ['transformations', 'sandbox', 'writer', 'luckyguess'][Math.floor(this.#random() * 4)] ?? '';
      const path = '/syrup/provisioning/redshift-workspace';
      const known = this.#logins.get(type);
      try {
        if (known && this.#random() < 0.5) {
          this.#logins.delete(type);
          await this.#api.call('DELETE', `${path}/${known.id}`);
        } else {
          const { credentials } = await this.#api.call<{ credentials: Login }>('POST', path, { type });
          this.#logins.set(type, credentials);
        }
      } catch {
        await pause(20);
      }
      await pause(100);
    }
  }

  /** Waits until nothing is under way, then compares what was acknowledged with what is there. */
  async #verify(): Promise<void> {
    const client = this.#api;
    const loads = await this.#finalStates();
    this.#failedLoads = [...loads.values()].filter((status) => status !== 'success').length;
    this.#failedTransformations = 0;
    const rows = await this.#count('in.c-storm.batches', 'batch');
    for (const [batch, jobId] of this.#loads) {
      const status = loads.get(jobId);
      assert.ok(status, `job ${jobId} of batch ${batch} is gone`);
      assert.equal(
        rows.get(String(batch)) ?? 0,
        status === 'success' ? batchRows : 0,
        `rows of batch ${batch}, whose load ended as ${status}`,
      );
    }
    for (const [batch, count] of rows) assert.ok(count === batchRows, `batch ${batch} is there with ${count} rows`);

    const marks = await this.#count('out.c-storm.marks', 'mark');
    for (const [mark, jobId] of this.#transformations) {
      const job = await client.call<QueueJob>('GET', `/queue/jobs/${jobId}`);
      assert.equal(job.isFinished, true, `job ${jobId} has no end`);
      const expected = job.status === 'success' ? 1 : 0;
      if (expected === 0) this.#failedTransformations++;
      const found = marks.get(mark) ?? 0;
      // A job may fail after its load was committed (killed before it could say so); it must never have written twice.
      assert.ok(
        found === expected || (job.status !== 'success' && found === 1),
        `mark ${mark}: ${found} rows, job ended as ${job.status}`,
      );
    }

    for (const [id, n] of this.#configurations) {
      const config = await client.call<{ configuration: { parameters: { n: number } } }>(
        'GET',
        `/v2/storage/components/keboola.ex-http/configs/${id}`,
      );
      assert.ok(config.configuration.parameters.n >= n, `configuration ${id} has lost an acknowledged update`);
    }
    for (const login of this.#logins.values()) await logIn(login);
  }

  async #finalStates(): Promise<Map<number, string>> {
    const states = new Map<number, string>();
    const deadline = Date.now() + 60_000;
    for (const jobId of this.#loads.values()) {
      for (;;) {
        const job = await this.#api.call<StorageJob>('GET', `/v2/storage/jobs/${jobId}`);
        if (job.status === 'success' || job.status === 'error') {
          states.set(jobId, job.status);
          break;
        }
        assert.ok(Date.now() < deadline, `storage job ${jobId} is still ${job.status} a minute after the recovery`);
        await pause(50);
      }
    }
    for (const jobId of this.#transformations.values()) {
      for (;;) {
        const job = await this.#api.call<QueueJob>('GET', `/queue/jobs/${jobId}`);
        if (job.isFinished) break;
        assert.ok(Date.now() < deadline, `job ${jobId} is still ${job.status} a minute after the recovery`);
        await pause(50);
      }
    }
    return states;
  }

  /** Rows of a table by the value of one column. */
  async #count(tableId: string, column: string): Promise<Map<string, number>> {
    const [header = [], ...rows] = await this.#api.exportRows(tableId);
    const index = header.indexOf(column);
    const counts = new Map<string, number>();
    for (const row of rows) counts.set(row[index] ?? '', (counts.get(row[index] ?? '') ?? 0) + 1);
    return counts;
  }

  async #prepare(): Promise<void> {
    const client = this.#api;
    await client.call('POST', '/v2/storage/buckets', { stage: 'in', name: 'storm' });
    await client.call('POST', '/v2/storage/buckets', { stage: 'out', name: 'storm' });
    for (const [bucket, name, header] of [
      ['in.c-storm', 'batches', 'batch,n,text\n'],
      ['out.c-storm', 'marks', 'mark\n'],
    ] as const) {
      const fileId = await client.upload(`${name}.csv`, Buffer.from(header), []);
      await client.storageJob('POST', `/v2/storage/buckets/${bucket}/tables-async`, { name, dataFileId: fileId });
    }
  }

  /** Every data file belongs to a catalogue row, nothing is staged, no job has a directory left. */
  async #nothingLeftBehind(): Promise<void> {
    const db = new pg.Client({ host: socketDirectory(this.#data), user: 'millrace', database: 'millrace' });
    await db.connect();
    try {
      const deadline = Date.now() + 20_000;
      for (;;) {
        const stray = await this.#strayFiles(db);
        const staged = (await db.query('select count(*)::int as n from millrace.staged_files')).rows[0].n as number;
        const jobFolders = list(path.join(this.#data, 'jobs'));
        if (stray.length === 0 && staged === 0 && jobFolders.length === 0) return;
        assert.ok(
          Date.now() < deadline,
          `left behind: files ${stray.slice(0, 5).join(', ')} (${stray.length}), staged rows ${staged}, job folders ${jobFolders.join(', ')}`,
        );
        await pause(500);
      }
    } finally {
      await db.end();
    }
  }

  async #strayFiles(db: pg.Client): Promise<string[]> {
    const known = new Set<string>();
    for (const table of ['ducklake_data_file', 'ducklake_delete_file']) {
      const rows = await db.query(`select regexp_replace(path, '^.*/', '') as name from lake_1.${table}`);
      for (const row of rows.rows) known.add(row.name as string);
    }
    return list(path.join(this.#data, 'lakes'))
      .filter((file) => !known.has(path.basename(file)))
      .filter((file) => /\.[a-z]+$/.test(file));
  }

  get #workspaces(): string {
    return path.join(this.#data, 'workspaces');
  }

  get #api(): Client {
    assert.ok(this.#client, 'the platform was started');
    return this.#client;
  }

  async #start(): Promise<void> {
    const child = spawn(
      process.execPath,
      [path.join(packageRoot, 'bin/millrace.js'), 'up', '--data', this.#data, '--port', '0', '--json'],
      { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, MILLRACE_WORKSPACE_PORT: '0' } },
    );
    this.#server = child;
    const ready = await new Promise<{ url: string; credentials: string }>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => line.startsWith('{') && resolve(JSON.parse(line)));
      child.once('exit', (code) => reject(new Error(`millrace up ended with ${code} before it was ready`)));
    });
    const credentials = JSON.parse(readFileSync(ready.credentials, 'utf8')) as { keboola: { storageToken: string } };
    this.#token = credentials.keboola.storageToken;
    this.#client = new Client(ready.url, this.#token);
  }

  async #restart(): Promise<void> {
    await this.#stop();
    await this.#start();
  }

  async #stop(): Promise<void> {
    const child = this.#server;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }

  async #healthy(): Promise<void> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      try {
        await this.#api.call('GET', '/v2/storage/tokens/verify');
        return;
      } catch (error) {
        assert.ok(Date.now() < deadline, `not healthy 30 s after a kill: ${error}`);
        await pause(50);
      }
    }
  }
}

/** The server behind may be on its way back. */
async function logIn({ hostname, port, db, user, password }: Login): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const client = new pg.Client({ host: hostname, port, database: db, user, password });
    client.on('error', () => {
      // The attempt that it ends reports it.
    });
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      assert.ok(Date.now() < deadline, `login ${user}, which was handed out, cannot log in: ${error}`);
      await pause(100);
    }
  }
}

function sqlJob(mark: string): unknown {
  return {
    parameters: {
      blocks: [{ name: 'b', codes: [{ name: 'c', script: [`CREATE TABLE marks AS SELECT '${mark}' AS mark`] }] }],
    },
    storage: { output: { tables: [{ source: 'marks', destination: 'out.c-storm.marks', incremental: true }] } },
  };
}

function pythonJob(mark: string): unknown {
  const script = `with open('out/tables/marks.csv', 'w') as f: f.write('mark\\n${mark}\\n')`;
  return {
    parameters: { blocks: [{ name: 'b', codes: [{ name: 'c', script: [script] }] }] },
    storage: { output: { tables: [{ source: 'marks.csv', destination: 'out.c-storm.marks', incremental: true }] } },
  };
}

function socketDirectory(data: string): string {
  const options = readFileSync(path.join(data, 'postgres', 'postmaster.pid'), 'utf8').split('\n');
  const directory = options[4];
  assert.ok(directory, 'postmaster.pid names its socket directory');
  return directory;
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((file) => path.join(directory, file));
  } catch {
    return [];
  }
}

function tail(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(-8000);
  } catch {
    return '(no log)';
  }
}

/** A small seeded generator, so that a failing storm can be run again. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
