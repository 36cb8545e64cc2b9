import type { Readable, Writable } from 'node:stream';

/**
 * A runtime runs other people's programs. Its handle is plain JSON that is kept on the job row, so that a restarted
 * server can find the program again. Output goes to files in the job's folder, never to pipes of a server that may die.
 */
export type Runtime = {
  readonly name: string;
  readonly facts: RuntimeFacts;
  /** Throws with a remedy in its message when the runtime cannot work on this machine. */
  check(): Promise<void>;
  /** A folder that programs of this runtime can reach, for work and log directories: `preferred` where possible. */
  workRoot(preferred: string): Promise<string>;
  /** The handle `start` will return. Save it before the start: then no crash leaves an unknown program behind. */
  handleOf(spec: RunSpec): RunHandle;
  /** Starts the program; throws only when nothing was started. */
  start(spec: RunSpec, signal?: AbortSignal): Promise<RunHandle>;
  /**
   * Starts a program whose standard input and output are streams of this server instead of nothing and a file: it lives
   * no longer than the server, and `logs` has only its stderr. Absent where a runtime cannot.
   */
  startPiped?(spec: RunSpec, signal?: AbortSignal): Promise<PipedRun>;
  /** Resolves once the program and all its descendants are gone. May be called again, also after a recover. */
  wait(handle: RunHandle): Promise<RunExit>;
  /** SIGTERM to the whole group, SIGKILL after graceMs. Resolves when everything is gone; a no-op afterwards. */
  stop(handle: RunHandle, graceMs: number): Promise<void>;
  /** Forgets the run and removes what the runtime itself made (never the work or log directory). Ends a live run. */
  remove(handle: RunHandle): Promise<void>;
  /** After a restart of the server: finds a run again by a handle that was saved. */
  recover(handle: RunHandle): Promise<Recovery>;
  /** Output as it comes, from the given byte offsets on, ending when the program has ended and all was read. */
  logs(handle: RunHandle, from?: { stdout: number; stderr: number }): AsyncIterable<LogChunk>;
  /** Lets go of all runs without touching them: the server ends, programs go on. */
  close(): Promise<void>;
};

/** `adopted`: it runs, or ended meanwhile (wait tells how). `lost`: it was started, how it ended is unknown; nothing
 * of it is alive any more. `never-started`: it may safely be started. */
export type Recovery = 'adopted' | 'lost' | 'never-started';

/** Plain JSON, small, without secrets. */
export type RunHandle = { runtime: string; id: string; logDirectory: string };

export type PipedRun = { handle: RunHandle; stdin: Writable; stdout: Readable };

export type RuntimeFacts = {
  /** Whether programs are kept away from the rest of the machine (other files, other processes, the network). */
  isolated: boolean;
  /** Whether programs have images (docker) or are folders with a command (process). */
  runs: 'image' | 'command';
  canLimitMemory: boolean;
};

export type RunSpec = {
  /** Unique; names the run in process lists and logs. */
  id: string;
  /** Program and arguments; paths below `readOnlyPaths` as they are outside. A bare program name is looked up in PATH. */
  command: string[];
  /** The data folder. Programs may see it under another path: write `{data}` where that path is wanted. */
  workDirectory: string;
  /** The complete environment: nothing of the server's own gets in. PATH, HOME and LANG get safe defaults.
   * `{data}` in a value stands for the data folder as the program sees it. */
  environment: Record<string, string>;
  /** Where the program starts; default: the data folder. */
  currentDirectory?: string;
  /** Further read-only folders the program needs (its own code). */
  readOnlyPaths: string[];
  /** Folders of the operator that the program may read under their own paths, as far as its user may: never copied. */
  sharedFolders?: string[];
  /** Existing or new folder for the output files and the runtime's own notes; outside of the work directory. */
  logDirectory: string;
  /** `none` holds only where the runtime isolates. */
  network: 'none' | 'full';
  limits: RunLimits;
};

export type RunLimits = {
  timeoutMs: number;
  memoryMb: number;
  /** Processes and threads together. */
  processes: number;
  /** Upper bound for any single file the program writes. */
  fileBytes: number;
  /** Upper bound for stdout and stderr each. */
  logBytes: number;
};

export type RunExit = {
  /** Exit code, or 128 + signal number. */
  code: number;
  /** Why it ended, where the runtime itself ended it. `lost`: it vanished without a trace. */
  reason: 'exited' | 'timeout' | 'out-of-memory' | 'stopped' | 'output-limit' | 'lost';
  startedAt: string;
  finishedAt: string;
};

export type LogChunk = { stream: 'stdout' | 'stderr'; bytes: Buffer; offset: number };
