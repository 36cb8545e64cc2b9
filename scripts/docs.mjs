// `npm run docs`: writes the pages that are generated from the code. `--check` only compares and names the stale ones.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt, root } from './ensure-install.mjs';

ensureBuilt();
const load = (file) => import(pathToFileURL(path.join(root, 'dist', 'src', file)).href);

/** Stands for the core: routes take parts of it when they are registered, but ask nothing before the first request. */
function silent() {}
const anything = new Proxy(silent, { get: () => anything, apply: () => anything });

const pages = new Map([
  ['docs/reference/config.md', (await load('config.js')).renderConfigReference()],
  ['docs/reference/events.md', await renderEvents()],
  ['docs/reference/jobs.md', await renderJobs()],
  ['docs/reference/errors.md', await renderErrors()],
  ...(await renderOpenapi()),
]);

const stale = [];
for (const [page, text] of pages) {
  const file = path.join(root, page);
  let current = '';
  try {
    current = readFileSync(file, 'utf8');
  } catch {
    // Not written yet: stale.
  }
  if (current === text) continue;
  stale.push(page);
  if (process.argv.includes('--check')) continue;
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}
if (process.argv.includes('--check') && stale.length > 0) {
  console.error(`Generated pages are stale (run npm run docs): ${stale.join(', ')}`);
  process.exit(1);
}
console.log(stale.length === 0 ? `${pages.size} generated pages are fresh` : `written: ${stale.join(', ')}`);
process.exit(0);

/** The OpenAPI document of each dialect, from the route schemas; nothing is started and no database is needed. */
async function renderOpenapi() {
  const { createHttpServer } = await load('http/server.js');
  const { pino } = await import('pino');
  const server = await createHttpServer({
    config: {
      host: '127.0.0.1',
      port: 0,
      tls: undefined,
      hostSuffixes: ['localhost'],
      version: '0',
      temporaryDirectory: '/tmp',
    },
    core: anything,
    health: () => ({ ready: false, reason: 'documentation only' }),
    log: pino({ level: 'silent' }),
  });
  const documents = [];
  for (const dialect of ['keboola', 'airbyte', 'syncano']) {
    const answer = await server.app.inject({ url: `/docs/${dialect}/openapi.json` });
    // A dialect without a document describes itself in a way of its own.
    if (answer.statusCode === 404) continue;
    documents.push([`docs/openapi/${dialect}.json`, `${JSON.stringify(answer.json(), null, 1)}\n`]);
  }
  return documents;
}

async function renderEvents() {
  const { EVENT_NAMES } = await load('core/events/event-names.js');
  const rows = Object.entries(EVENT_NAMES).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
  return table(
    '# Events\n\nGenerated from src/core/events/event-names.ts. Every event is written in the transaction of the change it tells of.',
    ['event', 'when'],
    rows,
  );
}

async function renderErrors() {
  const { KEBOOLA_CODES } = await load('dialects/keboola/errors.js');
  const rows = Object.entries(KEBOOLA_CODES).map(
    ([code, known]) => `| \`${code}\` | ${known.code ? `\`${known.code}\`` : '-'} |`,
  );
  return table(
    "# Errors\n\nGenerated from the dialects' tables of error codes: what the core says, and what each dialect makes of it.",
    ['core', 'Keboola'],
    rows,
  );
}

async function renderJobs() {
  const { JOB_KINDS } = await load('core/jobs/job-model.js');
  const { TRANSITIONS } = await load('core/jobs/job-status.js');
  const kinds = Object.entries(JOB_KINDS).map(([kind, facts]) => `| \`${kind}\` | ${facts.lane} |`);
  const moves = Object.entries(TRANSITIONS).map(([from, to]) => `| ${from} | ${to.join(', ') || 'final'} |`);
  const intro = '# Jobs\n\nGenerated from src/core/jobs. Every run of anything is a job of one of these kinds.';
  return `${table(intro, ['kind', 'lane'], kinds)}\n${table('## Status', ['from', 'to'], moves)}`;
}

function table(intro, header, rows) {
  return `${intro}\n\n| ${header.join(' | ')} |\n|${' --- |'.repeat(header.length)}\n${rows.join('\n')}\n`;
}
