import { AppError } from '../errors.ts';
import type { ConnectorRole } from './connector-model.ts';

export const connectorErrors = {
  notFound: (role: ConnectorRole | 'connection', id: string) =>
    new AppError('not-found', 'connector.not-found', `There is no ${role} with the id ${id}.`, {
      details: { resourceType: role, resourceId: id },
    }),
  noDefinition: (role: ConnectorRole, id: string) =>
    new AppError('not-found', 'connector.no-definition', `There is no ${role} definition with the id ${id}.`, {
      details: { resourceType: `${role} definition`, resourceId: id },
    }),
  definitionNotFound: (role: ConnectorRole, value: string) =>
    new AppError('invalid', 'connector.definition-unknown', `There is no ${role} connector "${value}".`, {
      details: { value },
    }),
  invalidConfiguration: (problems: string[]) =>
    new AppError(
      'invalid',
      'connector.invalid-configuration',
      `The configuration is not valid: ${problems.join('; ')}`,
      {
        details: { problems },
      },
    ),
  connectorFailed: (what: string, message: string) =>
    new AppError('invalid', 'connector.failed', `The ${what} failed: ${message}`),
  tooSlow: (what: string) =>
    new AppError('unavailable', 'connector.too-slow', `The ${what} takes too long; ask again later.`),
  invalidStream: (message: string) => new AppError('invalid', 'connection.invalid-stream', message),
  invalidSchedule: (message: string) => new AppError('invalid', 'connection.invalid-schedule', message),
  unsupported: (message: string) => new AppError('unsupported', 'connection.unsupported', message),
  alreadyRunning: () =>
    new AppError('conflict', 'sync.already-running', 'A sync is already running for the connection.', {
      retryable: false,
    }),
  inactive: () =>
    new AppError('conflict', 'connection.inactive', 'The connection is not active.', { retryable: false }),
};
