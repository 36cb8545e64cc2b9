import { AppError } from '../errors.ts';

export const secretErrors = {
  /** One text for every reason: what exactly is wrong would help only whoever guesses at somebody else's ciphers. */
  undecryptable: (key?: string) =>
    new AppError(
      'invalid',
      'secret.undecryptable',
      key === undefined
        ? 'The encrypted value cannot be decrypted here: it was made for another project, component or configuration, or with another key.'
        : `Invalid cipher text for key ${key} Value "***" is not an encrypted value.`,
    ),
  wrongKey: () =>
    new AppError(
      'invalid',
      'secret.wrong-key',
      'The data key does not belong to this database: its secrets were encrypted with another one. Give the key this database was made with.',
    ),
};
