import { AppError, type ErrorKind } from '../core/errors.ts';

/** Kinds that are not the user's mistake. */
const OURS: readonly ErrorKind[] = ['internal', 'unavailable'];

/** One line of data on stdout. Everything for people to read along goes to stderr through `say`. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function say(line: string): void {
  process.stderr.write(`millrace: ${line}\n`);
}

/** Prints the error and sets the exit code: 1 for the user's mistake, 2 for ours. */
export function fail(error: unknown): void {
  if (error instanceof AppError && !OURS.includes(error.kind)) {
    say(error.message);
    process.exitCode = 1;
    return;
  }
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 2;
}
