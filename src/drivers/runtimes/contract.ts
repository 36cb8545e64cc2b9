/**
 * A runtime runs other people's programs. Its handle is plain JSON that is kept on the job row, so that a restarted
 * server can find the program again. Output goes to files in the job's folder, never to pipes of a server that may die.
 */
export type Runtime = {
  readonly name: string;
  readonly facts: RuntimeFacts;
  /** Throws with a remedy in its message when the runtime cannot work on this machine. */
  check(): Promise<void>;
  start(spec: RunSpec, signal?: AbortSignal): Promise<RunHandle>;
  /** Resolves once the program and all its descendants are gone. May be called again, also after a recover. */
  wait(handle: RunHandle): Promise<RunExit>;
  /** SIGTERM to the whole group, SIGKILL after graceMs. Resolves when everything is gone; a no-op afterwards. */
  stop(handle: RunHandle, graceMs: number): Promise<void>;
  /** Forgets the run and removes what the runtime itself made (never the work directory). */
  remove(handle: RunHandle): Promise<void>;
  /** After a restart of the server: adopts a live run or one that ended meanwhile; false when there is no trace. */
  recover(handle: RunHandle): Promise<boolean>;
  /** Output as it comes, from the given byte offsets on, ending when the program has ended and all was read. */
  logs(handle: RunHandle, from?: { stdout: number; stderr: number }): AsyncIterable<LogChunk>;
};

export type RunHandle = { runtime: string; id: string; [key: string]: unknown };

export type RuntimeFacts = {
  /** Whether programs are kept away from the rest of the machine (other files, other processes). */
  isolated: boolean;
  /** Whether programs have images (docker) or are folders with a command (process). */
  runs: 'image' | 'command';
  canLimitMemory: boolean;
};

export type RunSpec = {
  /** Unique; names the run in process lists and logs. */
  id: string;
  /** Program and arguments. Paths under `mounts` are given as seen inside. */
  command: string[];
  /** The data folder; seen inside as `dataPath` of the handle's environment (KBC_DATADIR is set by the caller). */
  workDirectory: string;
  /** Where the program starts; default: the data folder. */
  currentDirectory?: string;
  /** The complete environment: nothing of the server's own gets in. PATH, HOME and LANG get safe defaults. */
  environment: Record<string, string>;
  /** Further read-only folders the program needs (its own code). Same path inside and outside. */
  readOnlyPaths: string[];
  /** Folder for stdout.log, stderr.log and exit.json; outside of the work directory. */
  logDirectory: string;
  network: 'none' | 'full';
  limits: RunLimits;
};

export type RunLimits = {
  timeoutMs: number;
  memoryMb: number;
  processes: number;
  /** Upper bound for any single file and for stdout and stderr each. */
  outputBytes: number;
};

export type RunExit = {
  /** Exit code, or 128 + signal number. */
  code: number;
  /** Why it ended, where the runtime itself ended it. */
  reason: 'exited' | 'timeout' | 'out-of-memory' | 'stopped' | 'output-limit' | 'lost';
  startedAt: string;
  finishedAt: string;
};

export type LogChunk = { stream: 'stdout' | 'stderr'; bytes: Buffer; offset: number };
