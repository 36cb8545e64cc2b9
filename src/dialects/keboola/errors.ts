import { randomBytes } from 'node:crypto';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { AppError, type ErrorKind, toAppError } from '../../core/errors.ts';
import { errorBody, type Family } from './error-shapes.ts';

const STATUS_BY_KIND: Record<ErrorKind, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  limit: 429,
  'too-large': 413,
  unsupported: 501,
  // Not 503 but for Syrup: PHP clients of the other services take that for announced maintenance.
  unavailable: 500,
  internal: 500,
};

const CODE_BY_KIND: Record<ErrorKind, string> = {
  invalid: 'storage.validation',
  unauthenticated: 'storage.tokenInvalid',
  forbidden: 'accessDenied',
  'not-found': 'notFound',
  conflict: 'conflict',
  limit: 'limitReached',
  'too-large': 'requestTooLarge',
  unsupported: 'notImplemented',
  unavailable: 'storage.unavailable',
  internal: 'storage.internalError',
};

/**
 * Core code -> Keboola's own code (spec Appendix A), and its status where that is not the kind's. Codes that are
 * missing here answer with the kind's general code. An empty code leaves the member out of the body.
 */
export const KEBOOLA_CODES: Record<string, { code: string; status?: number }> = {
  'token.missing': { code: '' },
  'project.disabled': { code: 'MAINTENANCE', status: 503 },
  'organization.create-project-denied': { code: 'manage.createProjectPermissionDenied' },
  'organization.update-denied': { code: 'manage.updateOrganizationPermissionDenied' },
  'organization.join-denied': { code: 'manage.joinOrganizationPermissionDenied' },
  'person.invalid-email': { code: 'validation.failed', status: 422 },
  'feature.taken': { code: 'validation.failed', status: 422 },
  'feature.assigned': { code: 'validation.failed', status: 422 },
  'feature.locked': { code: 'validation.failed', status: 422 },
  'token.invalid': { code: 'storage.tokenInvalid' },
  'access.denied': { code: 'accessDenied' },
  'request.invalid': { code: 'storage.validation' },
  'request.not-boolean': { code: 'storage.validation' },
  'request.failed-validation': { code: 'validation.failed' },
  'request.malformed': { code: 'malformedRequest' },
  'request.media-type': { code: 'unsupportedMediaType', status: 415 },
  'request.too-large': { code: 'requestTooLarge' },
  'request.not-implemented': { code: 'notImplemented' },
  'resource.not-found': { code: 'notFound' },

  'branch.not-found': { code: 'storage.branches.notFound' },
  'branch.duplicate-name': { code: 'devBranch.duplicateName' },
  'branch.invalid': { code: 'storage.validation' },
  'branch.default': { code: 'storage.validation' },
  'token.not-found': { code: 'storage.tokens.notFound' },
  'token.master': { code: 'storage.tokens.masterToken' },
  'token.invalid-permissions': { code: 'storage.tokens.invalidPermissions' },
  'token.expiration-too-short': { code: 'storage.tokens.validation' },

  'token.used-by-trigger': { code: 'storage.tokens.cannotDeleteDueToOrchestration' },

  'trigger.not-found': { code: 'storage.triggers.notFound' },
  'trigger.cool-down': { code: 'storage.triggers.validation' },
  'trigger.token-unknown': { code: 'storage.triggers.validation' },
  'trigger.token-expires': { code: 'storage.triggers.validation' },
  'trigger.token-of-admin': { code: 'storage.triggers.validation' },
  'trigger.no-tables': { code: 'storage.triggers.validation' },
  'trigger.too-many-tables': { code: 'storage.triggers.validation' },

  'bucket.not-found': { code: 'storage.buckets.notFound' },
  'bucket.already-exists': { code: 'storage.buckets.alreadyExists' },
  'bucket.invalid': { code: 'storage.buckets.validation' },
  'bucket.read-only': { code: 'accessDenied' },
  'bucket.not-shared': { code: 'storage.bucket.notShared' },
  'bucket.already-linked': { code: 'storage.buckets.alreadyLinked' },
  'bucket.link-not-found': { code: 'notFound' },
  'bucket.share-projects-foreign': { code: 'storage.buckets.targetProjectIdsAreNotPartOfOrganization', status: 422 },
  'bucket.share-persons-foreign': { code: 'storage.buckets.targetAdminsAreNotPartOfOrganization', status: 422 },
  'bucket.not-empty': { code: 'buckets.deleteNotEmpty' },

  'snapshot.not-found': { code: 'storage.snapshots.notFound' },
  'table.not-found': { code: 'storage.tables.notFound' },
  'table.already-exists': { code: 'storage.buckets.tableAlreadyExists' },
  'table.invalid': { code: 'storage.tables.validation' },
  'table.invalid-format': { code: 'storage.tables.validation.invalidFormat' },
  'table.primary-key-format': { code: 'storage.validation.primaryKey' },
  'table.no-columns': { code: 'storage.tables.validation.noColumns' },
  'table.invalid-column-name': { code: 'storage.tables.validation.invalidColumnName' },
  'table.duplicate-columns': { code: 'storage.tables.validation' },
  'table.invalid-primary-key-columns': { code: 'storage.tables.validation.invalidPrimaryKeyColumns' },
  'table.column-already-exists': { code: 'storage.tables.columnAlreadyExists' },
  'table.column-in-primary-key': { code: 'storage.tables.cannotDeletePrimaryKeyColumn' },
  'table.primary-key-invalid': { code: 'storage.validation.primaryKey' },
  'table.primary-key-duplicates': { code: 'storage.tables.primaryKeyDuplicateValues' },
  'table.invalid-default': { code: 'storage.tables.invalidDefaultValueForType' },
  'table.cannot-add-column': { code: 'storage.tables.validation.cannotAddColumn' },
  'table.filter-unsupported': { code: 'storage.backend.exception' },
  'csv.invalid-value': { code: 'invalidData' },
  'column.invalid-name': { code: 'storage.tables.invalidColumnName' },
  'table.columns-not-match': { code: 'csvImport.columnsNotMatch' },
  'table.columns-required': { code: 'storage.tables.validation.invalidColumnName' },
  'table.columns-unknown': { code: 'storage.tables.nonExistingColumns' },
  'table.filter-column-unknown': { code: 'storage.tables.validation.columnNotExists' },
  'table.delete-column-unknown': { code: 'storage.tables.columnNotExists' },
  'table.unintended-truncation': { code: 'storage.tables.validation.unintendedTruncation' },
  'table.too-many-columns': { code: 'storage.maxNumberOfColumnsExceed' },
  'column.not-found': { code: 'storage.tables.columnNotExists' },
  'csv.invalid': { code: 'invalidCsv' },
  'csv.ragged-row': { code: 'invalidData' },
  'csv.unterminated-quote': { code: 'invalidData' },
  'csv.encoding': { code: 'invalidData' },
  'csv.gzip-broken': { code: 'invalidData' },
  'csv.cr-only': { code: 'invalidData' },
  'csv.row-too-large': { code: 'rowTooLarge' },
  'csv.invalid-options': { code: 'csvImport.invalidCsvParams' },

  'workspace.not-found': { code: 'workspace.workspaceNotFound' },
  'workspace.backend-unsupported': { code: 'workspace.backendNotSupported' },

  'workspace.load-input-invalid': { code: 'workspace.loadRequestBadInput' },
  'workspace.load-input-required': { code: 'workspace.loadRequestInputRequired' },
  'workspace.load-contradiction': { code: 'workspace.loadRequestLogicalException' },
  'workspace.clone-unsupported': { code: 'workspace.loadRequestCloneNotSupported' },
  'workspace.duplicate-destination': { code: 'workspace.duplicateDestination' },
  'workspace.duplicate-table': { code: 'workspace.duplicateTable' },
  'workspace.source-not-found': { code: 'workspace.sourceNotFound' },
  'workspace.table-access-denied': { code: 'workspace.tableAccessDenied' },
  'workspace.columns-not-match': { code: 'workspace.columnsNotMatch' },
  'workspace.columns-types-not-match': { code: 'workspace.columnsTypesNotMatch' },
  'workspace.types-of-unknown-columns': { code: 'storage.tables.datatypesForNonExistingColumns' },
  'workspace.table-create': { code: 'workspace.tableCreate' },
  'workspace.table-load': { code: 'workspace.tableLoad' },
  'workspace.table-not-found': { code: 'storage.tableNotFound' },
  'workspace.column-not-found': { code: 'storage.tables.nonExistingColumns' },
  'workspace.invalid-columns': { code: 'storage.invalidColumns' },
  'workspace.reset-unsupported': { code: 'workspace.resetPasswordNotSupported' },

  'metadata.not-found': { code: 'storage.metadata.notFound' },
  'metadata.invalid-key': { code: 'storage.metadata.invalidKey' },
  'metadata.invalid-provider': { code: 'storage.metadata.invalidProvider' },
  'metadata.reserved-provider': { code: 'storage.metadata.invalidProvider' },
  'metadata.invalid-parameter': { code: 'storage.metadata.invalidParameter' },
  'metadata.invalid-structure': { code: 'storage.metadata.invalidStructure' },

  'event.not-found': { code: 'notFound' },
  'event.too-large': { code: 'requestTooLarge', status: 400 },
  'event.unknown-type': { code: 'storage.event.validation' },
  'event.query-syntax': { code: 'storage.event.validation' },
  'event.limit-too-high': { code: 'storage.event.validation' },

  'job.not-found': { code: 'storage.jobs.notFound' },
  'name.not-possible': { code: 'storage.webalize.displayName.invalid', status: 422 },
  'name.invalid-columns': { code: 'validation.failed', status: 422 },

  'query.syntax': { code: 'query.syntax' },
  'file.not-found': { code: 'storage.files.notFound' },
  'file.not-uploaded': { code: 'storage.fileNotUploaded' },
  'file.manifest-missing': { code: 'storage.manifestFileMissing' },
  'file.manifest-invalid': { code: 'storage.manifestFileInvalid' },
  'file.slice-missing': { code: 'storage.importFileMissing' },
  'file.slice-foreign': { code: 'storage.unauthorizedAccess' },
  'file.slices-mixed': { code: 'invalidData' },
  'component.not-found': { code: 'storage.components.notFound' },
  'component.not-installed': { code: 'storage.components.notInstalled' },
  'configuration.not-found': { code: 'storage.configuration.notFound' },
  'configuration.version-not-found': { code: 'storage.configuration.versionNotFound' },
  'configuration.already-exists': { code: 'configurationAlreadyExists' },
  'configuration.purge-in-branch': { code: 'storage.components.cannotDeleteConfiguration' },
  'configuration.invalid-parameters': { code: 'storage.components.validation' },
  'configuration.invalid-content': { code: 'validation.invalidConfigurationFormat' },
  'configuration.invalid-state': { code: 'validation.invalidStateFormat' },
  'configuration.invalid-row-order': { code: 'validation.invalidRowSortOrder' },
  'configuration.state-in-branch': { code: 'storage.components.validation' },
  'configuration.too-large': { code: 'requestTooLarge' },
  'configuration-row.not-found': { code: 'notFound' },
  'configuration-row.version-not-found': { code: 'notFound' },
  'configuration-row.already-exists': { code: 'configurationRowAlreadyExists' },
  'configuration-row.invalid-parameters': { code: 'storage.componentsRows.validation' },
};

/** Status and Keboola code of an error. */
export function keboolaCode(error: AppError): { status: number; code: string } {
  const known = KEBOOLA_CODES[error.code];
  return { status: known?.status ?? STATUS_BY_KIND[error.kind], code: known?.code ?? CODE_BY_KIND[error.kind] };
}

/** Gives a scope its error and not-found answers. Only one not-found handler may exist per prefix. */
export function registerErrors(scope: FastifyInstance, family: Family, notFound?: NotFoundAnswer): void {
  scope.setErrorHandler((error, request, reply) => sendError(error, request, reply, family));
  scope.setNotFoundHandler((request, reply) =>
    sendError(notFound?.(request) ?? routeNotFound(), request, reply, family),
  );
}

/** A better answer than "no such route", or undefined. */
export type NotFoundAnswer = (request: FastifyRequest) => AppError | undefined;

function routeNotFound(): AppError {
  return new AppError('not-found', 'resource.not-found', 'Resource not found');
}

function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply, family: Family): FastifyReply {
  const { status, body } = describeError(thrown, request, family);
  // Without it clients wait for a minute before they try again.
  if (status === 503) reply.header('retry-after', RETRY_AFTER_SECONDS);
  return reply.code(status).type('application/json').send(body);
}

const RETRY_AFTER_SECONDS = 5;

/** Status and body of anything thrown. Internal errors are logged with the id that the client gets. */
export function describeError(
  thrown: unknown,
  request: FastifyRequest,
  family: Family,
): { status: number; body: Record<string, unknown> } {
  const error = fromThrown(thrown);
  const { status: generalStatus, code } = keboolaCode(error);
  const status = family === 'syrup' && error.kind === 'unavailable' ? 503 : generalStatus;
  const exceptionId = newExceptionId();
  if (status >= 500 && status !== 501) {
    request.log.error({ exceptionId, err: error.cause ?? error, path: request.raw.url?.split('?')[0] }, error.message);
  }
  return { status, body: errorBody(family, { status, code, error, exceptionId, runId: runIdOf(request) }) };
}

/** The `error` member of a failed Storage job: what the same problem would have answered at once. */
export function keboolaJobError(error: { kind: ErrorKind; code: string; message: string; exceptionId?: string }): {
  code: string;
  message: string;
  exceptionId: string;
} {
  const { code } = keboolaCode(new AppError(error.kind, error.code, error.message));
  return { code, message: error.message, exceptionId: error.exceptionId ?? newExceptionId() };
}

export function newExceptionId(): string {
  return `exception-${randomBytes(12).toString('hex')}`;
}

function runIdOf(request: FastifyRequest): string | undefined {
  const header = request.headers['x-kbc-runid'];
  return typeof header === 'string' ? header : undefined;
}

const FRAMEWORK_ERRORS: Record<string, () => AppError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () => new AppError('too-large', 'request.too-large', 'Request body is too large.'),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new AppError('invalid', 'request.media-type', 'Unsupported content type. Send JSON or a form.'),
  FST_ERR_BAD_URL: () => new AppError('invalid', 'request.malformed', 'The URL is malformed.'),
  FST_ERR_MAX_PARAM_LENGTH: () => routeNotFound(),
};

function fromThrown(thrown: unknown): AppError {
  const { code, statusCode } = (thrown ?? {}) as Partial<FastifyError>;
  if (thrown instanceof AppError || typeof code !== 'string') return toAppError(thrown);
  const known = FRAMEWORK_ERRORS[code];
  if (known) return known();
  // Fastify's remaining refusals (a body shorter than announced ...) are about the request, and safe in general words.
  if (code.startsWith('FST_ERR_CTP_') || (code.startsWith('FST_ERR_') && statusCode === 400)) {
    return new AppError('invalid', 'request.malformed', 'The request is malformed.', { cause: thrown });
  }
  // The client broke the connection while sending; nobody reads this answer, but it is no fault of ours either.
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return new AppError('invalid', 'request.malformed', 'The request was not received completely.', { cause: thrown });
  }
  return toAppError(thrown);
}
