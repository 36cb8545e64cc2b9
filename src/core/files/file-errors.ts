import { AppError } from '../errors.ts';

/** What can go wrong with files and their blobs. */
export const fileErrors = {
  notFound: () => new AppError('not-found', 'file.not-found', 'File not found.'),
  notUploaded: (id: number) =>
    new AppError('invalid', 'file.not-uploaded', `File ${id} was announced but its content was never uploaded.`),
  manifestMissing: (id: number) =>
    new AppError('invalid', 'file.manifest-missing', `The manifest of the sliced file ${id} was not uploaded.`),
  manifestInvalid: (id: number, why: string) =>
    new AppError('invalid', 'file.manifest-invalid', `The manifest of the sliced file ${id} is not valid: ${why}`),
  sliceMissing: (id: number, name: string) =>
    new AppError('invalid', 'file.slice-missing', `Slice "${name}" of the file ${id} was not uploaded.`),
  sliceForeign: (id: number, url: string) =>
    new AppError(
      'invalid',
      'file.slice-foreign',
      `The manifest of the file ${id} refers to "${url}", which is not a part of it.`,
    ),
  slicesMixed: (id: number) =>
    new AppError('invalid', 'file.slices-mixed', `Some slices of the file ${id} are gzipped and some are not.`),

  grantInvalid: () =>
    new AppError(
      'forbidden',
      'blob.grant-invalid',
      'The signature is missing, wrong, expired or made for another container.',
    ),
  grantTooWeak: () => new AppError('forbidden', 'blob.grant-too-weak', 'The signature does not allow this operation.'),
  containerNotFound: () =>
    new AppError('not-found', 'blob.container-not-found', 'The specified container does not exist.'),
  blobNotFound: () => new AppError('not-found', 'blob.not-found', 'The specified blob does not exist.'),
  blobExists: () => new AppError('conflict', 'blob.exists', 'The specified blob already exists.'),
  conditionNotMet: () =>
    new AppError('conflict', 'blob.condition-not-met', 'The condition in the request headers is not met.'),
  blockListInvalid: () => new AppError('invalid', 'blob.block-list-invalid', 'The specified block list is invalid.'),
  blockIdInvalid: () => new AppError('invalid', 'blob.block-id-invalid', 'The specified block id is invalid.'),
  nameInvalid: () => new AppError('invalid', 'blob.name-invalid', 'The specified blob name is invalid.'),
  checksumMismatch: () =>
    new AppError('invalid', 'blob.checksum-mismatch', 'The MD5 value of the content is not the one in the request.'),
};
