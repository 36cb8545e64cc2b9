import { AppError } from '../errors.ts';

const invalid = (code: string, message: string) => new AppError('invalid', code, message);

export const scriptErrors = {
  notFound: () => new AppError('not-found', 'script.not-found', 'Script was not found.'),
  endpointNotFound: () => new AppError('not-found', 'script.endpoint-not-found', 'Script Endpoint was not found.'),
  endpointTaken: () =>
    new AppError('invalid', 'script.endpoint-taken', 'There is an endpoint of this name already.', {
      details: { fields: { name: ['This field must be unique.'] } },
    }),
  unknownScript: (id: number) =>
    new AppError('invalid', 'script.unknown', `There is no script ${id}.`, {
      details: { fields: { script: [`Invalid pk "${id}" - object does not exist.`] } },
    }),
  runNotFound: () => new AppError('not-found', 'script.run-not-found', 'Not found.'),
  unknownRuntime: (name: string) => invalid('script.unknown-runtime', `There is no runtime "${name}".`),
  tooLong: (what: string) => new AppError('too-large', 'script.too-large', `The ${what} is too long.`),
  /** For the result of a run. */
  runtimeMissing: (name: string) => invalid('script.runtime-missing', `The runtime "${name}" is not installed.`),
  failed: (message: string) => invalid('script.failed', message),
  timeout: (seconds: number) => invalid('script.timeout', `The script ran longer than ${seconds} seconds.`),
};
