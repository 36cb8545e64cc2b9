import { type AppError, type ErrorKind, toAppError } from '../../../core/errors.ts';
import { BlobRequestError } from './blob-request.ts';

type Answer = { status: number; code: string; message: string };

/** Core code -> status and code of the blob protocol. */
const ANSWERS: Record<string, { status: number; code: string }> = {
  'blob.grant-invalid': { status: 403, code: 'AuthenticationFailed' },
  'blob.grant-too-weak': { status: 403, code: 'AuthorizationPermissionMismatch' },
  'blob.container-not-found': { status: 404, code: 'ContainerNotFound' },
  'blob.not-found': { status: 404, code: 'BlobNotFound' },
  'blob.exists': { status: 409, code: 'BlobAlreadyExists' },
  'blob.condition-not-met': { status: 412, code: 'ConditionNotMet' },
  'blob.block-list-invalid': { status: 400, code: 'InvalidBlockList' },
  'blob.block-id-invalid': { status: 400, code: 'InvalidQueryParameterValue' },
  'blob.name-invalid': { status: 400, code: 'InvalidResourceName' },
  'blob.checksum-mismatch': { status: 400, code: 'Md5Mismatch' },
  // Not 500 or 503: clients would send the whole body again and again.
  'filestore.full': { status: 507, code: 'InsufficientStorage' },
};

const BY_KIND: Record<ErrorKind, { status: number; code: string }> = {
  invalid: { status: 400, code: 'InvalidInput' },
  unauthenticated: { status: 403, code: 'AuthenticationFailed' },
  forbidden: { status: 403, code: 'AuthorizationFailure' },
  'not-found': { status: 404, code: 'ResourceNotFound' },
  conflict: { status: 409, code: 'Conflict' },
  limit: { status: 503, code: 'ServerBusy' },
  'too-large': { status: 413, code: 'RequestBodyTooLarge' },
  unsupported: { status: 501, code: 'NotImplemented' },
  unavailable: { status: 503, code: 'ServerBusy' },
  internal: { status: 500, code: 'InternalError' },
};

/** What the blob protocol answers to anything thrown. The text of unknown errors stays in the log. */
export function blobAnswer(thrown: unknown): Answer {
  if (thrown instanceof BlobRequestError) return thrown;
  if (isBrokenOff(thrown))
    return { status: 400, code: 'IncompleteBody', message: 'The body was not received completely.' };
  const error: AppError = toAppError(thrown);
  return { ...(ANSWERS[error.code] ?? BY_KIND[error.kind]), message: error.message };
}

/** The client went away while it was sending. */
function isBrokenOff(thrown: unknown): boolean {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}
