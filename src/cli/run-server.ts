import { AppError } from '../core/errors.ts';
import type { Platform } from '../platform.ts';
import { fail, printLine, say } from './output.ts';

/**
 * Runs a platform in the foreground until a signal. The first SIGTERM or SIGINT stops it, also while it is still
 * starting; a second one ends the process at once. Whatever is left then is taken up by the next start.
 */
export async function runServer(start: () => Promise<Platform>, options: { json: boolean }): Promise<void> {
  const stopAsked = new Promise<void>((resolve) => {
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      if (++signals > 1) process.exit(signal === 'SIGINT' ? 130 : 143);
      say(`${signal}: stopping (again to stop at once)`);
      resolve();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
  // A reader of our output that has gone away is no reason to stop.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});

  let platform: Platform;
  try {
    platform = await start();
  } catch (error) {
    fail(error);
    // Whatever was half open must not keep a server alive that never was one.
    process.exit(process.exitCode);
  }
  process.on('unhandledRejection', (error) => platform.log.error({ err: error }, 'a promise was rejected unseen'));
  process.on('uncaughtException', (error) => {
    platform.log.error({ err: error }, 'an unexpected error; the server stops');
    fail(error);
    void platform.stop().finally(() => process.exit(2));
  });
  announce(platform, options.json);
  await stopAsked;
  await platform.stop();
  process.exit(0);
}

function announce({ url, dataDirectory, credentialsFile }: Platform, json: boolean): void {
  if (json) {
    printLine(
      JSON.stringify({ ready: true, url, dataDir: dataDirectory, credentials: credentialsFile, pid: process.pid }),
    );
    return;
  }
  printLine(url === undefined ? 'Millrace is ready.' : `Millrace is ready at ${url}`);
  printLine(`Credentials: ${credentialsFile}`);
}

/** Names that are not in the list are the user's mistake, all of them at once. */
export function requireKnown<T extends string>(names: string[], known: readonly T[], what: string): T[] {
  const unknown = names.filter((name) => !known.some((one) => one === name));
  if (unknown.length > 0 || names.length === 0) {
    throw new AppError(
      'invalid',
      'command.invalid',
      `Unknown ${what}: ${unknown.join(', ') || '(none given)'}. There are: ${known.join(', ')}.`,
    );
  }
  return names as T[];
}
