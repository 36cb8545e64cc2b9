import { chmodSync, existsSync, renameSync, statSync } from 'node:fs';
import { type Logger, pino } from 'pino';

export type ServerLog = { log: Logger; close(): void };

const MAX_BYTES = 20 * 1024 * 1024;

/** The log file of a server, one JSON object a line. Written at once: a kill -9 loses no line. */
export function openServerLog(file: string, level: string): ServerLog {
  if (existsSync(file) && statSync(file).size > MAX_BYTES) renameSync(file, `${file}.1`);
  const output = pino.destination({ dest: file, sync: true, mode: 0o600 });
  if (existsSync(file)) chmodSync(file, 0o600);
  const log = pino({ level, base: { pid: process.pid }, serializers: { err: errorForLog } }, output);
  return { log, close: () => output.flushSync() };
}

/** What libraries hang on their errors (clients, requests) may be huge or secret: only these fields are kept. */
function errorForLog(error: unknown, depth = 0): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  const fields = ['code', 'kind', 'detail', 'constraint'].map((field) => [field, Reflect.get(error, field)] as const);
  return {
    type: name,
    message,
    stack,
    ...Object.fromEntries(fields.filter(([, value]) => value !== undefined)),
    ...(cause !== undefined && depth < 3 && { cause: errorForLog(cause, depth + 1) }),
  };
}
