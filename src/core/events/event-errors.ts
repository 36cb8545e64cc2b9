import { AppError } from '../errors.ts';

export const eventErrors = {
  notFound: () => new AppError('not-found', 'event.not-found', 'Event not found'),
  tooLarge: (limitBytes: number) =>
    new AppError('too-large', 'event.too-large', `Event is larger than ${limitBytes / 1024} KB.`, {
      details: { limitBytes },
    }),
  unknownType: (type: string) =>
    new AppError('invalid', 'event.unknown-type', `Event type "${type}" is not one of info, success, warn, error.`),
  limit: (max: number) => new AppError('invalid', 'event.limit-too-high', `Limit must be between 1 and ${max}.`),
};
