// Brings a fresh clone to the point where dist/ can be run: dependencies installed, TypeScript compiled.
// Uses Node's own modules only, because nothing else exists yet when it starts.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const minimumNode = [20, 20];

/** Installs dependencies when node_modules is missing or older than the lock file; `say` gets one line per step. */
export function ensureInstalled(say = defaultSay) {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < minimumNode[0] || (major === minimumNode[0] && minor < minimumNode[1])) {
    fail(`Millrace needs Node ${minimumNode.join('.')} or newer; this is ${process.versions.node}.`);
  }
  const installed = path.join(root, 'node_modules', '.package-lock.json');
  const lock = path.join(root, 'package-lock.json');
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
    say('installing dependencies (npm ci) ...');
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
    utimesSync(installed, new Date(), new Date());
  }
}

/** Compiles TypeScript when a source is newer than the last build. */
export function ensureBuilt(say = defaultSay) {
  ensureInstalled(say);
  const dist = path.join(root, 'dist');
  const mark = path.join(dist, '.built');
  const newest = Math.max(
    ...['src', 'test', 'bench', 'demo'].flatMap((folder) =>
      sources(path.join(root, folder)).map((file) => statSync(file).mtimeMs),
    ),
    statSync(path.join(root, 'tsconfig.json')).mtimeMs,
  );
  if (existsSync(mark) && statSync(mark).mtimeMs >= newest) return;
  say('compiling TypeScript ...');
  removeStale(dist);
  run(process.execPath, [
    path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
    '-p',
    path.join(root, 'tsconfig.json'),
  ]);
  mkdirSync(dist, { recursive: true });
  writeFileSync(mark, '');
}

/** All .ts files below a folder. */
export function sources(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

/** A file that no longer exists as a source must not live on as JavaScript; the others stay for running servers. */
function removeStale(dist) {
  if (!existsSync(dist)) return;
  for (const entry of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('.js')) continue;
    if (!existsSync(path.join(root, entry.replace(/\.js$/, '.ts')))) rmSync(path.join(dist, entry), { force: true });
  }
}

function run(command, args) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (result.error) fail(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) fail(`${command} ${args.join(' ')} failed (exit ${result.status}).`);
}

function defaultSay(line) {
  process.stderr.write(`millrace: ${line}\n`);
}

function fail(message) {
  process.stderr.write(`millrace: ${message}\n`);
  process.exit(1);
}
