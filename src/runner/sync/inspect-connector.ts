import type { ConnectorRole } from '../../core/components/connector-model.ts';
import { AppError } from '../../core/errors.ts';
import type { Json } from '../../lib/json.ts';
import { JobLog } from '../job-log.ts';
import type { JobContext } from '../kind.ts';
import { removeJobDirectory } from '../steps/work-dir.ts';
import { askConnector, type ConnectorParts, type ConnectorRun, endLeftovers } from './connector-program.ts';
import { member, textOf } from './messages.ts';

const failed = (message: string) => new AppError('invalid', 'connector.failed', message, { retryable: false });

/** Asks a connector whether its configuration works. That it does not is a result, not a failure. */
export async function runCheck(parts: ConnectorParts, ctx: JobContext): Promise<void> {
  await withConnector(parts, ctx, 'check', 'CONNECTION_STATUS', (answer, problem) => {
    const status = member(answer, 'connectionStatus', 'status');
    const message = textOf(member(answer, 'connectionStatus', 'message')) ?? problem ?? '';
    return { isFine: status === 'SUCCEEDED', message };
  });
}

/** Asks a source what streams it has. */
export async function runDiscover(parts: ConnectorParts, ctx: JobContext): Promise<void> {
  await withConnector(parts, ctx, 'discover', 'CATALOG', (answer, problem) => {
    if (problem !== undefined) throw failed(problem);
    const streams = member(answer, 'catalog', 'streams');
    const isCatalog = Array.isArray(streams) && streams.every((stream) => typeof member(stream, 'name') === 'string');
    if (!isCatalog) throw failed('The source did not say what streams it has.');
    return { streams };
  });
}

async function withConnector(
  parts: ConnectorParts,
  ctx: JobContext,
  command: 'check' | 'discover',
  type: string,
  conclude: (answer: Json | undefined, problem: string | undefined) => Json,
): Promise<void> {
  const { job, actor } = ctx;
  const role = (job.input as { role: ConnectorRole }).role;
  const log = new JobLog(ctx, job.componentId ?? '');
  const { connector, configuration, secrets } = await parts.core.connectors.open(
    actor,
    role,
    job.configurationId ?? '',
  );
  log.hide(secrets);
  const run: ConnectorRun = { parts, ctx, log, jobsDirectory: await parts.runtime.workRoot(parts.jobsDirectory) };
  try {
    await endLeftovers(run, [0]);
    const { answer, problem } = await askConnector(run, connector.definition, command, type, configuration);
    const result = conclude(answer, problem === undefined ? undefined : log.mask(problem));
    await log.flush();
    await ctx.finish({ status: 'succeeded', result });
  } finally {
    await log.flush();
    await removeJobDirectory(run.jobsDirectory, job.id);
  }
}
