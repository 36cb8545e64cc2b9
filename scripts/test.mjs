// `npm test`: builds, starts one PostgreSQL for all test files, runs them, ends with `N passed, N failed, N skipped`.
//   npm test                     everything
//   npm test -- jobs lake        only files whose path contains one of the words
//   npm run test:soak            the long fault and load runs instead (test/soak)
// MILLRACE_REQUIRE=bubblewrap,python3 makes skips that name one of these needs fail (CI installs them first).
import { existsSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ensureBuilt, root, sources } from './ensure-install.mjs';

const words = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const soak = process.argv.includes('--soak');
const required = (process.env.MILLRACE_REQUIRE ?? '').split(',').filter((word) => word !== '');

ensureBuilt();

const soakFolder = path.join(root, 'test', 'soak') + path.sep;
const files = [...sources(path.join(root, 'src')), ...sources(path.join(root, 'test'))]
  .filter((file) => file.endsWith('.test.ts') && file.startsWith(soakFolder) === soak)
  .filter((file) => words.length === 0 || words.some((word) => path.relative(root, file).includes(word)))
  .map((file) => path.join(root, 'dist', path.relative(root, file)).replace(/\.ts$/, '.js'))
  .sort();

const support = path.join(root, 'dist', 'test', 'support', 'database.js');
const cluster = existsSync(support) ? await (await import(pathToFileURL(support).href)).startTestCluster() : undefined;
if (cluster) process.env.MILLRACE_TEST_POSTGRES = cluster.socketDirectory;
process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --enable-source-maps`.trim();

const counts = { passed: 0, failed: 0, skipped: 0 };
/** Milliseconds that the tests of a file took. */
const durations = new Map();
const failures = [];
const skips = [];
const started = Date.now();
// Heavy files share two cores with the servers they start: two at a time is the quickest that stays calm.
const stream = run({ files, concurrency: 2, timeout: soak ? 3_600_000 : 300_000 });

stream.on('test:pass', (event) => {
  measure(event);
  if (event.details.type === 'suite' || isFile(event)) return;
  const title = titleOf(event);
  if (event.skip !== undefined || event.todo !== undefined) {
    const reason = String(event.skip || event.todo);
    const need = required.find((word) => reason.startsWith(`needs ${word}`));
    if (need) {
      counts.failed++;
      failures.push({ title, error: `skipped although ${need} is required here: ${reason}` });
      print(`FAIL ${title} (skipped: ${reason})`);
    } else {
      counts.skipped++;
      skips.push(`${title}: ${reason === 'true' ? 'no reason given' : reason}`);
      print(`skip ${title} (${reason})`);
    }
    return;
  }
  counts.passed++;
  print(`ok   ${title} (${Math.round(event.details.duration_ms)} ms)`);
});

stream.on('test:fail', (event) => {
  measure(event);
  const error = event.details.error;
  const cause = error?.cause ?? error;
  // A parent fails because of its children, which have been counted themselves.
  if (error?.failureType === 'subtestsFailed') return;
  counts.failed++;
  const title = isFile(event) ? `${relative(event.name)} did not run to its end` : titleOf(event);
  failures.push({ title, error: cause?.stack ?? String(cause) });
  print(`FAIL ${title}`);
});

let output = '';
stream.on('test:stdout', (event) => remember(event));
stream.on('test:stderr', (event) => remember(event));
stream.resume();

await new Promise((resolve) => stream.once('end', resolve));
await cluster?.stop();

if (failures.length > 0 && output !== '') print(`\n--- output of the tests (last 20 kB) ---\n${output.slice(-20_000)}`);
for (const failure of failures) print(`\n--- ${failure.title}\n${failure.error}`);
if (skips.length > 0) print(`\nskipped:\n${skips.map((line) => `  ${line}`).join('\n')}`);
const slowest = [...durations].sort(([, a], [, b]) => b - a).slice(0, 10);
if (files.length > 10)
  print(
    `\nslowest files:\n${slowest.map(([file, ms]) => `  ${(ms / 1000).toFixed(1).padStart(6)} s  ${file}`).join('\n')}`,
  );
print(`\n${files.length} files in ${Math.round((Date.now() - started) / 1000)} s`);
if (counts.passed + counts.failed + counts.skipped === 0) counts.failed = 1;
print(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed === 0 ? 0 : 1);

function isFile(event) {
  return event.nesting === 0 && path.isAbsolute(event.name) && event.name.endsWith('.test.js');
}

/** Only what stands at the top of a file: it takes the time of all below it. */
function measure(event) {
  if (event.nesting !== 0 || isFile(event) || event.file === undefined) return;
  const file = relative(event.file);
  durations.set(file, (durations.get(file) ?? 0) + event.details.duration_ms);
}

function titleOf(event) {
  return event.file === undefined ? event.name : `${relative(event.file)} > ${event.name}`;
}

function relative(file) {
  return path.relative(path.join(root, 'dist'), file).replace(/\.js$/, '.ts');
}

function remember(event) {
  output = (output + event.message).slice(-40_000);
}

function print(line) {
  process.stdout.write(`${line}\n`);
}
