import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunSpec } from '../contract.ts';

/** How this machine lets us start other people's programs; found out once when the runtime opens. */
export type LaunchFacts = {
  mode: 'bubblewrap' | 'plain';
  /** Whether the server is root: every run then gets a user id of its own. */
  isRoot: boolean;
  bubblewrap: string | undefined;
  setpriv: string | undefined;
  timeout: string | undefined;
};

export type LaunchPlan = {
  spec: RunSpec;
  uid: number | undefined;
  /** Upper bound for RLIMIT_NPROC. */
  processes: number;
  /** Standard input and output are the server's, instead of nothing and a file. */
  isPiped: boolean;
  /** Outside path -> where the program finds it instead. */
  relocated: Map<string, string>;
};

/** Where a program finds the data folder. */
export const dataPathOf = (mode: LaunchFacts['mode'], spec: RunSpec) =>
  mode === 'bubblewrap' ? '/data' : spec.workDirectory;

export const scratchOf = (spec: RunSpec) => join(spec.logDirectory, 'tmp');
export const sharedMemoryOf = (spec: RunSpec) => join(spec.logDirectory, 'shm');
export const passwdOf = (spec: RunSpec) => join(spec.logDirectory, 'passwd');
export const groupOf = (spec: RunSpec) => join(spec.logDirectory, 'group');

/**
 * The process that outlives the server: it waits for the program and writes down how it ended. A shell, because that is
 * a megabyte and a millisecond. The signals are caught (not ignored, which a child would inherit), so that a signal to
 * the group ends the program and not its witness. Only the logs are private: bubblewrap makes the parents of its mount
 * points under this umask, and a program with a user id of its own has to get through them.
 */
const witnessScript = (streams: string) =>
  'trap : HUP INT TERM; umask 077; log=$1; shift; : >"$log/stdout.log"; : >"$log/stderr.log"; umask 022; ' +
  `"$@" ${streams} 2>>"$log/stderr.log"; echo $? >"$log/exit"`;
const toFiles = witnessScript('</dev/null >>"$log/stdout.log"');
const toPipes = witnessScript('');

/** Sets the limits as late as possible, where they hold for the program alone; ulimit counts files in 512 bytes. */
const limitScript =
  'umask 022; ulimit -c 0; ulimit -n 4096 2>/dev/null; ulimit -f "$1"; (ulimit -u 1) 2>/dev/null && ulimit -u "$2" || ulimit -p "$2"; ' +
  'cd "$3" || exit 126; shift 3; exec "$@"';

/** Until this long after the deadline the server enforces it; later (no server) the backstop does. */
const backstopSeconds = 10;

export function launchCommand(facts: LaunchFacts, plan: LaunchPlan): string[] {
  const { spec } = plan;
  const inside = insideText(facts, plan);
  const limits = [
    '/bin/sh',
    '-c',
    limitScript,
    'run',
    String(Math.max(1, Math.floor(spec.limits.fileBytes / 512))),
    String(plan.processes),
    inside(spec.currentDirectory ?? '{data}'),
    ...spec.command.map(inside),
  ];
  const asUser =
    plan.uid === undefined || !facts.setpriv
      ? []
      : [
          facts.setpriv,
          `--reuid=${plan.uid}`,
          `--regid=${plan.uid}`,
          '--clear-groups',
          '--no-new-privs',
          '--inh-caps=-all',
        ];
  const sandbox =
    facts.mode === 'bubblewrap' && facts.bubblewrap ? [facts.bubblewrap, ...sandboxArguments(facts, plan), '--'] : [];
  const seconds = Math.ceil(spec.limits.timeoutMs / 1000) + backstopSeconds;
  const backstop = facts.timeout ? [facts.timeout, '-s', 'KILL', String(seconds)] : [];
  return [
    '/bin/sh',
    '-c',
    plan.isPiped ? toPipes : toFiles,
    'millrace-run',
    spec.logDirectory,
    ...backstop,
    ...sandbox,
    ...asUser,
    ...limits,
  ];
}

export function launchEnvironment(facts: LaunchFacts, plan: LaunchPlan): Record<string, string> {
  const inside = insideText(facts, plan);
  const scratch = facts.mode === 'bubblewrap' ? '/tmp' : scratchOf(plan.spec);
  return {
    // The system's own programs first: `python3` in a home folder is often a shim that works for its owner only.
    PATH: '/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin',
    HOME: scratch,
    TMPDIR: scratch,
    LANG: 'C.UTF-8',
    ...Object.fromEntries(Object.entries(plan.spec.environment).map(([name, value]) => [name, inside(value)])),
    [markerName]: plan.spec.id,
  };
}

const markerName = 'MILLRACE_RUN';
/** How a process of a run is recognised by its environment wherever it fled to. Closed by the NUL of /proc/pid/environ. */
export const markerOf = (id: string) => `${markerName}=${id}\0`;

function insideText(facts: LaunchFacts, plan: LaunchPlan) {
  return (text: string): string => {
    let result = text.replaceAll('{data}', dataPathOf(facts.mode, plan.spec));
    // A sandbox shows the copy at the path of the original.
    for (const [from, to] of facts.mode === 'plain' ? plan.relocated : []) {
      if (result === from || result.startsWith(`${from}/`)) result = to + result.slice(from.length);
    }
    return result;
  };
}

/**
 * A root file system of the machine's programs and nothing else. The process tree has its own pid namespace, whose end
 * ends everything in it; `--die-with-parent` ties that to the witness (not to the server, which may restart).
 */
function sandboxArguments(facts: LaunchFacts, { spec, relocated }: LaunchPlan): string[] {
  const readOnly = (path: string) => ['--ro-bind-try', path, path];
  const network = spec.network === 'full' ? ['/etc/resolv.conf', '/etc/hosts', '/etc/nsswitch.conf'] : [];
  return [
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup-try',
    ...(facts.isRoot ? [] : ['--unshare-user']),
    ...(spec.network === 'none' ? ['--unshare-net'] : []),
    '--new-session',
    '--die-with-parent',
    ...readOnly('/usr'),
    ...['/bin', '/sbin', '/lib', '/lib32', '/lib64'].flatMap(systemFolder),
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '--bind',
    sharedMemoryOf(spec),
    '/dev/shm',
    '--bind',
    scratchOf(spec),
    '/tmp',
    '--dir',
    '/run',
    '--dir',
    '/var',
    '--symlink',
    '/tmp',
    '/var/tmp',
    '--dir',
    '/etc',
    '--ro-bind',
    passwdOf(spec),
    '/etc/passwd',
    '--ro-bind',
    groupOf(spec),
    '/etc/group',
    ...[...systemSettings, ...network].flatMap(readOnly),
    ...(spec.sharedFolders ?? []).flatMap((path) => [...foldersAbove(path), '--ro-bind-try', path, path]),
    ...spec.readOnlyPaths.flatMap(foldersAbove),
    ...spec.readOnlyPaths.flatMap((path) => ['--ro-bind', relocated.get(path) ?? path, path]),
    '--bind',
    spec.workDirectory,
    '/data',
    '--remount-ro',
    '/dev',
    '--remount-ro',
    '/',
    '--chdir',
    '/',
  ];
}

/** Left to itself, bubblewrap makes the folders above a mount point for root alone (0700); `--dir` makes them 0755. */
function foldersAbove(path: string): string[] {
  const above = dirname(path);
  return above === '/' ? [] : [...foldersAbove(above), '--dir', above];
}

/** What programs of the system need of /etc; nothing with a password in it. */
const systemSettings = [
  '/etc/alternatives',
  '/etc/ca-certificates',
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/ld.so.conf.d',
  '/etc/localtime',
  '/etc/mime.types',
  '/etc/pki',
  '/etc/protocols',
  '/etc/python3',
  '/etc/python3.11',
  '/etc/services',
  '/etc/ssl',
];

function systemFolder(path: string): string[] {
  if (!existsSync(path)) return [];
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path];
}
