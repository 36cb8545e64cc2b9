import { Transform } from 'node:stream';
import pg from 'pg';
import { AppError } from '../../../core/errors.ts';
import { backendDown } from '../outage.ts';
import { BoundedSocket } from './bounded-socket.ts';

/** Where a space is and how to get in, as anybody would from outside. */
export type SpaceDoor = { host: string; port: number; name: string; password: string };

/**
 * What people may have set for their own login (`alter role ... set`) does not hold for us: the way of texts and dates
 * is part of what we read and write.
 */
const SETTINGS = [
  'datestyle=ISO',
  'intervalstyle=postgres',
  'timezone=UTC',
  'bytea_output=hex',
  'extra_float_digits=1',
  'standard_conforming_strings=on',
  'xmloption=content',
  'default_transaction_read_only=off',
  'default_transaction_isolation=read\\ committed',
  'idle_in_transaction_session_timeout=0',
  'transaction_timeout=0',
  // A session of theirs that keeps a table locked must not keep a worker of ours.
  'lock_timeout=60s',
  // Ends what we have given up, also while it computes.
  'client_connection_check_interval=2s',
];
const CONNECT_MS = 10_000;
const MESSAGE_MAX = 1000;
/** Whether rows come or go: what people have put into a view or a trigger may wait forever. */
const STALL_MS = 15 * 60_000;

/** Connection lost, out of resources, too many connections, shut down, broken machine. */
const OUTAGES = /^(08|53|57P|58|XX)/;

/** Logs in as the space's own login and out again. Aborting ends the session at once. */
export async function inSpace<T>(
  { host, port, name, password }: SpaceDoor,
  options: { signal?: AbortSignal | undefined; statementMs?: number },
  act: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { signal, statementMs = 0 } = options;
  const client = new pg.Client({
    host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host,
    port,
    user: name,
    database: name,
    password,
    stream: () => new BoundedSocket(),
    application_name: 'millrace',
    connectionTimeoutMillis: CONNECT_MS,
    options: [...SETTINGS, `search_path=${name}`, `statement_timeout=${statementMs}`]
      .map((setting) => `-c ${setting}`)
      .join(' '),
  });
  client.on('error', () => {
    // The statement that was running reports it.
  });
  // With a statement on its way this breaks the connection.
  const leave = () => void client.end().catch(() => undefined);
  try {
    signal?.throwIfAborted();
    await client.connect();
    signal?.addEventListener('abort', leave, { once: true });
    signal?.throwIfAborted();
    return await act(client);
  } catch (thrown) {
    throw signal?.aborted ? signal.reason : toThrown(thrown);
  } finally {
    signal?.removeEventListener('abort', leave);
    await client.end().catch(() => undefined);
  }
}

/** Lets everything through and fails when nothing comes for long. */
export function stallGuard(): Transform {
  let timer: NodeJS.Timeout | undefined;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(
      () => guard.destroy(new AppError('invalid', 'workspace.table-load', 'The workspace moved no row for too long.')),
      STALL_MS,
    ).unref();
  };
  const guard = new Transform({
    transform(chunk, _encoding, done) {
      watch();
      done(null, chunk);
    },
    destroy(error, done) {
      clearTimeout(timer);
      done(error);
    },
  });
  watch();
  return guard;
}

/** What the database refuses is about what people have asked for, or made there: in its own words. */
function toThrown(thrown: unknown): unknown {
  if (thrown instanceof AppError) return thrown;
  const { code = '', severity, message } = thrown as { code?: string; severity?: string; message?: string };
  if (severity === undefined) return isNetwork(code, message) ? backendDown(thrown) : thrown;
  if (OUTAGES.test(code)) return backendDown(thrown);
  if (code === '3D000' || code === '28000')
    return new AppError('not-found', 'workspace.not-found', 'The database of the workspace is gone.');
  if (code === '28P01') {
    const help = 'The password of the workspace was changed inside of it. Reset it by the API.';
    return new AppError('invalid', 'workspace.password-changed', help);
  }
  const kind = /^42(601|704|611|P16)$/.test(code) ? 'workspace.table-create' : 'workspace.table-load';
  return new AppError('invalid', kind, shorten(message ?? 'The workspace refused it.'), {
    cause: shorten(String(thrown)),
  });
}

/** A message may repeat the whole of a cell. */
function shorten(text: string): string {
  return text.length > MESSAGE_MAX ? `${text.slice(0, MESSAGE_MAX)}...` : text;
}

function isNetwork(code: string, message: string | undefined): boolean {
  return (
    /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET)/.test(code) ||
    /^(Connection terminated|timeout expired|Client was closed)/.test(message ?? '')
  );
}
