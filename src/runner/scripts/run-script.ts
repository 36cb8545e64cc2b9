import { AppError } from '../../core/errors.ts';
import type { Job } from '../../core/jobs/job-model.ts';
import { scriptErrors } from '../../core/scripts/script-errors.ts';
import {
  SCRIPT_COMPONENT,
  SCRIPT_LIMITS,
  SCRIPT_RUNTIMES,
  type ScriptConfig,
  type ScriptResponse,
  type ScriptResult,
  type ScriptRunInput,
} from '../../core/scripts/script-model.ts';
import { parametersOf } from '../../core/scripts/scripts.ts';
import type { RunExit } from '../../drivers/runtimes/contract.ts';
import type { Json } from '../../lib/json.ts';
import { JobLog, ProgramOutput } from '../job-log.ts';
import type { RunnerParts } from '../job-run.ts';
import { type JobContext, StopReason } from '../kind.ts';
import { runErrors } from '../run-errors.ts';
import { readOutputJson } from '../steps/output-folder.ts';
import { giveOrder, type Order, type Sandbox, stateOf } from './sandbox.ts';
import type { Sandboxes } from './sandboxes.ts';
import { openWayIn } from './way-in.ts';

/** What is kept on the job, for a server that takes it over. */
type ScriptHandle = { sandbox: Sandbox; deadline: number; keyId?: number };
type Begun = ScriptHandle & { wayIn: { close(): void } | undefined };
/** `key`: what the script is lent, if it is lent one. */
type MakeOrder = (key: string | undefined) => Order;
type Plan = { timeoutSeconds: number; hasKey: boolean; order: MakeOrder };

/** Where nobody is left to take it back, a key outlives the time of its script by so much. */
const KEY_GRACE_SECONDS = 10;
/** The content with every character escaped, and the headers. */
const MAX_RESPONSE_FILE = 7 * SCRIPT_LIMITS.resultBytes;

/**
 * Carries out a run of a script:
 *
 *   configuration ─► sandbox ─► handle kept ─► order given ─► output followed ─► answer read ─► finish
 *
 * The order is given once: a script that a crash of the server interrupts goes on by itself and is taken over, and one
 * that went down with the machine has failed. It is never started a second time.
 */
export async function runScript(parts: RunnerParts, sandboxes: Sandboxes, ctx: JobContext): Promise<void> {
  const log = new JobLog(ctx, SCRIPT_COMPONENT);
  const input = ctx.job.input as unknown as ScriptRunInput;
  const script = await openScript(parts, ctx, log, input);
  const runtime = SCRIPT_RUNTIMES.find(({ name }) => name === script.runtime);
  if (!runtime?.isInstalled) return fail(ctx, log, scriptErrors.runtimeMissing(script.runtime));
  const timeoutSeconds = timeoutOf(script.config);
  const meta = metaOf(ctx.job, input, await instanceOf(parts, ctx));
  const order: MakeOrder = (key) => ({
    source: script.source,
    args: input.args,
    config: script.config,
    meta: { ...meta, ...(key !== undefined && { token: key }) },
    apiScheme: parts.publicUrl().startsWith('https:') ? 'https' : 'http',
  });
  const plan = { timeoutSeconds, hasKey: script.config.allow_full_access === true, order };
  const { sandbox, deadline, keyId, wayIn } = await takeUp(parts, sandboxes, ctx, log, plan);
  let isLeft = false;
  try {
    const { exit, output } = await follow(parts, ctx, log, sandbox, deadline);
    await takeBackKey(parts, ctx, keyId);
    const result: ScriptResult = {
      stdout: log.mask(output.stdout.text()),
      stderr: log.mask(output.stderr.text()),
      ...(await readResponse(sandbox, log)),
    };
    const problem = problemOf(exit, deadline, timeoutSeconds, result);
    if (result.stderr) log.error(result.stderr);
    await log.flush();
    const shown = result as unknown as Json;
    if (problem) await ctx.finish({ status: 'failed', error: problem, result: shown });
    else await ctx.finish({ status: 'succeeded', result: shown });
  } catch (error) {
    isLeft = isForOthers(ctx, error);
    throw error;
  } finally {
    wayIn?.close();
    if (!isLeft) {
      void sandboxes.discard(sandbox);
      await takeBackKey(parts, ctx, keyId);
    }
  }
}

/** It opens nothing once the run is over, wherever the script has left it. */
async function takeBackKey({ core }: RunnerParts, { actor, log }: JobContext, id: number | undefined): Promise<void> {
  if (id === undefined) return;
  await core.identity
    .takeBackKey(actor, id)
    .catch((error: unknown) => log.warn({ err: error }, 'a key that was lent could not be taken back before its time'));
}

/** The script as it was when the run was asked for, its secrets readable, and hidden in all the run says. */
async function openScript({ core }: RunnerParts, ctx: JobContext, log: JobLog, { version }: ScriptRunInput) {
  const configurationId = ctx.job.configurationId ?? '';
  const [definition] = await core.configurations.resolveForRun(ctx.actor, {
    componentId: SCRIPT_COMPONENT,
    configurationId,
    input: { configurationVersion: version },
  });
  const scope = { projectId: ctx.job.projectId, componentId: SCRIPT_COMPONENT, configurationId };
  const { value, secrets } = core.secrets.decryptTree(definition?.configuration ?? {}, scope);
  log.hide(secrets);
  return parametersOf(value);
}

function timeoutOf({ timeout }: ScriptConfig): number {
  const seconds = Number(timeout);
  if (timeout === undefined || timeout === null || !(seconds > 0)) return SCRIPT_LIMITS.defaultTimeoutSeconds;
  return Math.min(seconds, SCRIPT_LIMITS.timeoutSeconds);
}

async function instanceOf({ core }: RunnerParts, { actor }: JobContext): Promise<string> {
  return (await core.projects.get(actor)).slug;
}

/** As scripts know what runs them. */
const EXECUTED_BY = { script: 'codebox', endpoint: 'webhook', schedule: 'schedule', trigger: 'trigger' } as const;

function metaOf(job: Job, { caller, request, user }: ScriptRunInput, instance: string): { [key: string]: Json } {
  const isNumber = /^\d+$/.test(caller.id);
  return {
    executed_by: EXECUTED_BY[caller.kind],
    executor: isNumber ? Number(caller.id) : caller.id,
    instance,
    trace_id: job.id,
    request: request ?? {},
    ...(user && { user }),
  };
}

/** The sandbox of this run: a new one, or that of an earlier server. */
async function takeUp(
  parts: RunnerParts,
  sandboxes: Sandboxes,
  ctx: JobContext,
  log: JobLog,
  plan: Plan,
): Promise<Begun> {
  const kept = ctx.job.handle as unknown as ScriptHandle | undefined;
  if (kept) {
    const recovery = await parts.runtime.recover(kept.sandbox.handle);
    const state = await stateOf(kept.sandbox);
    if (recovery === 'adopted') {
      if (state === 'waiting') return begin(parts, ctx, log, kept, plan);
      // Its way in went down with the server before: the folder is the script's now, and nothing is made in it.
      return { ...kept, wayIn: undefined };
    }
    void sandboxes.discard(kept.sandbox);
    await takeBackKey(parts, ctx, kept.keyId);
    // One that ended before it was told anything has done nothing.
    if (state !== 'waiting') throw runErrors.lost();
  }
  ctx.signal.throwIfAborted();
  const sandbox = await sandboxes.take();
  try {
    return await begin(parts, ctx, log, { sandbox, deadline: Date.now() + plan.timeoutSeconds * 1000 }, plan);
  } catch (error) {
    void sandboxes.discard(sandbox);
    throw error;
  }
}

/** Keeps the handle, opens the way in and gives the order. */
async function begin(
  parts: RunnerParts,
  ctx: JobContext,
  log: JobLog,
  { sandbox, deadline, keyId: earlier }: ScriptHandle,
  { hasKey, timeoutSeconds, order }: Plan,
): Promise<Begun> {
  await takeBackKey(parts, ctx, earlier);
  // For a script that may do what whoever has it run may do.
  const key = hasKey ? await parts.core.identity.lendKey(ctx.actor, timeoutSeconds + KEY_GRACE_SECONDS) : undefined;
  if (key) log.hide([key.secret]);
  const handle: ScriptHandle = { sandbox, deadline, ...(key && { keyId: key.id }) };
  let wayIn: Begun['wayIn'];
  try {
    await ctx.saveHandle(handle as unknown as Json);
    const url = parts.publicUrl();
    wayIn = url === '' ? undefined : await openWayIn(`${sandbox.folder}/data`, url);
    await giveOrder(sandbox, ctx.job.id, order(key?.secret));
  } catch (error) {
    wayIn?.close();
    await takeBackKey(parts, ctx, key?.id);
    throw error;
  }
  return { ...handle, wayIn };
}

/** To its end, or to the end of its time, or until somebody else follows it. */
async function follow(
  { runtime }: RunnerParts,
  ctx: JobContext,
  log: JobLog,
  { handle }: Sandbox,
  deadline: number,
): Promise<{ exit: RunExit; output: ProgramOutput }> {
  const { signal } = ctx;
  const stop = () =>
    void runtime.stop(handle, 0).catch((error) => ctx.log.error({ err: error }, 'a script could not be stopped'));
  const timer = setTimeout(stop, Math.max(0, deadline - Date.now()));
  const output = new ProgramOutput(log);
  const left = new Promise<never>((_resolve, reject) => {
    const onAbort = () => (isKilled(ctx) ? stop() : reject(signal.reason));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
  const followed = (async () => {
    for await (const chunk of runtime.logs(handle)) {
      if (signal.aborted && !isKilled(ctx)) break;
      await output.add(chunk);
    }
    return runtime.wait(handle);
  })();
  try {
    const exit = await Promise.race([followed, left]);
    output.end();
    signal.throwIfAborted();
    return { exit, output };
  } finally {
    clearTimeout(timer);
    followed.catch(() => undefined);
  }
}

/** Whether the run is not ours to end: the server stops, another has it, or its end will be written later. */
function isForOthers(ctx: JobContext, error: unknown): boolean {
  if (ctx.signal.aborted) return !isKilled(ctx);
  return error instanceof AppError && (error.retryable || error.code === 'job.lease-lost');
}

const isKilled = ({ signal }: JobContext) => signal.reason instanceof StopReason && signal.reason.reason === 'killed';

/** What the script has answered. It may have put anything where its answer is expected. */
async function readResponse({ folder }: Sandbox, log: JobLog): Promise<{ response?: ScriptResponse }> {
  const found = await readOutputJson(`${folder}/data`, 'response.json', MAX_RESPONSE_FILE).catch((error: unknown) => {
    // Parsing takes the time of everybody; and no answer within the limits needs a longer file.
    if (error instanceof AppError) log.warn('The response of the script was dropped: it is too long.');
    return undefined;
  });
  if (typeof found !== 'object' || found === null || Array.isArray(found)) return {};
  const { status, contentType, headers, content, encoding } = found;
  if (typeof content !== 'string' || typeof contentType !== 'string') return {};
  if (content.length > SCRIPT_LIMITS.resultBytes) {
    log.warn('The response of the script was dropped: it is too long.');
    return {};
  }
  const isText = encoding !== 'base64';
  const code = Number(status);
  return {
    response: {
      status: Number.isInteger(code) && code >= 200 && code <= 599 ? code : 200,
      contentType,
      headers: textsOf(headers),
      content: isText ? log.mask(content) : content,
      ...(!isText && { encoding: 'base64' }),
    },
  };
}

function textsOf(headers: Json | undefined): Record<string, string> {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) return {};
  return Object.fromEntries(
    Object.entries(headers)
      .slice(0, SCRIPT_LIMITS.responseHeaders)
      .map(([name, value]) => [name, String(value).slice(0, SCRIPT_LIMITS.responseHeaderLength)]),
  );
}

/** Why the run has failed, if it has. */
function problemOf(exit: RunExit, deadline: number, timeoutSeconds: number, { stderr }: ScriptResult) {
  switch (exit.reason) {
    case 'stopped':
    case 'timeout':
      return Date.now() >= deadline || exit.reason === 'timeout'
        ? scriptErrors.timeout(timeoutSeconds)
        : scriptErrors.failed('The script was stopped.');
    case 'out-of-memory':
      return scriptErrors.failed('The script needed more memory than it may have.');
    case 'output-limit':
      return scriptErrors.failed('The script printed more than it may print.');
    case 'lost':
      return runErrors.lost();
    case 'exited':
      break;
  }
  if (exit.code === 0) return undefined;
  if (exit.code === 124) return scriptErrors.timeout(timeoutSeconds);
  return scriptErrors.failed(lastLineOf(stderr) || `The script ended with exit code ${exit.code}.`);
}

/** Of a stack the line that says what is wrong. */
function lastLineOf(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  return (lines.find((line) => /^[A-Za-z]*(Error|Exception)\b/.test(line)) ?? lines.findLast(Boolean) ?? '').slice(
    0,
    500,
  );
}

async function fail(ctx: JobContext, log: JobLog, error: AppError): Promise<void> {
  log.error(error.message);
  await log.flush();
  const result: ScriptResult = { stdout: '', stderr: error.message };
  await ctx.finish({ status: 'failed', error, result: result as unknown as Json });
}
