import { AppError } from '../errors.ts';

export const componentErrors = {
  notFound: (componentId: string) =>
    new AppError('not-found', 'component.not-found', `Component "${componentId}" not found`, {
      details: { componentId },
    }),
  notInstalled: (componentId: string) =>
    new AppError(
      'invalid',
      'component.not-installed',
      `The component "${componentId}" is not runnable. It is not installed on this server.`,
      { details: { componentId } },
    ),
};
