import { AppError } from '../core/errors.ts';

const invalid = (code: string, message: string) => new AppError('invalid', code, message);

/** What a run of a component can fail with and the user can change. Wording as Keboola's runner has it. */
export const runErrors = {
  /** The program said itself what is wrong. */
  component: (message: string) => invalid('run.component-failed', message),
  timeout: (image: string, seconds: number) =>
    invalid('run.timeout', `Running ${image} container exceeded the timeout of ${seconds} seconds.`),
  killed: () => invalid('run.killed', 'Component terminated. Possibly due to out of memory error'),
  outOfMemory: (limitMb: number) => invalid('run.out-of-memory', `Component out of memory (exceeded ${limitMb}M)`),
  outputLimit: () => invalid('run.output-limit', 'Component terminated. It wrote more than a component may write.'),
  configuration: (message: string) => invalid('run.invalid-configuration', message),
  unsupported: (key: string) =>
    invalid('run.unsupported', `The configuration key "${key}" is not supported by this version.`),
  unsupportedMode: (mode: string) =>
    invalid('run.unsupported', `Jobs of mode "${mode}" are not supported by this version.`),
  notInstalled: (id: string) =>
    invalid('component.not-installed', `The component "${id}" is not runnable. It is not installed on this server.`),
  secretReused: (path: string) =>
    invalid(
      'run.secret-reused',
      `Component secrets cannot be used in configurations (used in "${path}"). Please contact support if you need further explanation.`,
    ),
  input: (message: string) => invalid('run.input-failed', message),
  output: (message: string) => invalid('run.output-failed', message),
  fileMissing: (name: string) => new AppError('not-found', 'run.file-missing', `File '${name}' not found.`),
  query: (message: string) => invalid('run.query-failed', message),
  programMissing: (program: string) =>
    new AppError(
      'unavailable',
      'run.program-missing',
      `The program "${program}" that runs this component is not installed on the server.`,
      { retryable: false },
    ),
  /** Ours: the text is for the log. */
  crashed: (message: string) => new AppError('internal', 'run.crashed', message),
  lost: () =>
    new AppError(
      'internal',
      'run.lost',
      'The component was running when the server went down, and how it ended is unknown',
    ),
};
