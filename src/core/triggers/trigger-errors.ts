import { AppError } from '../errors.ts';

export const triggerErrors = {
  notFound: (id: number) => new AppError('not-found', 'trigger.not-found', `Trigger with id "${id}" was not found.`),
  coolDown: (max: number) =>
    new AppError('invalid', 'trigger.cool-down', `Minimal cool down period is 1 minute, and it is ${max} at most.`),
  coolDownTooShort: () => new AppError('invalid', 'trigger.cool-down', 'Minimal cool down period is 1 minute'),
  tokenUnknown: (id: number) =>
    new AppError('invalid', 'trigger.token-unknown', `Token with id "${id}" was not found.`),
  tokenExpires: () =>
    new AppError(
      'invalid',
      'trigger.token-expires',
      "The 'runByToken' has expiration set. Use token without expiration.",
    ),
  tokenOfAdmin: () =>
    new AppError(
      'invalid',
      'trigger.token-of-admin',
      "The 'runByToken' cannot be admin's token when your main token is not admin's",
    ),
  noTables: () => new AppError('invalid', 'trigger.no-tables', 'Parameter "tableIds" must name one table or more.'),
  tooManyTables: (max: number) =>
    new AppError('invalid', 'trigger.too-many-tables', `A trigger can wait for ${max} tables at most.`),
  tooMany: (limit: number) =>
    new AppError('limit', 'trigger.too-many', `Trigger count exceeded (${limit}).`, { details: { limit } }),
  tableUnknown: (id: string, projectId: number) =>
    new AppError('not-found', 'table.not-found', `The table "${id}" was not found in the project "${projectId}"`),
  forbidden: (componentIds: string[]) =>
    new AppError(
      'forbidden',
      'access.denied',
      'Your token does not have sufficient privilege. Token is neither admin token nor does it have canManageBucket ' +
        `permission nor does it have access to component(s) "${componentIds.join(', ')}".`,
    ),
};
