import { AppError, type ErrorDetails } from '../errors.ts';

const invalid = (code: string, message: string, details?: ErrorDetails) =>
  new AppError('invalid', code, message, { details });

export const configurationErrors = {
  notFound: (id: string) =>
    new AppError('not-found', 'configuration.not-found', `Configuration "${id}" not found`, {
      details: { configurationId: id },
    }),
  alreadyExists: (id: string) =>
    invalid('configuration.already-exists', `Configuration "${id}" already exists`, { configurationId: id }),
  notInTrash: (id: string) =>
    new AppError('not-found', 'configuration.not-found', `Configuration "${id}" not found in the trash`, {
      details: { configurationId: id },
    }),
  purgeInBranch: () =>
    invalid(
      'configuration.purge-in-branch',
      'Deleting configuration from trash is not allowed in development branches.',
    ),
  resetInDefault: () =>
    invalid('configuration.reset-in-default', 'Reset to default branch is not implemented for default branch'),
  metadataNotFound: (id: number, at: { componentId: string; configurationId: string }, branchId: number) =>
    new AppError(
      'not-found',
      'metadata.not-found',
      `Metadata with id "${id}" not found for "${at.componentId}" configuration "${at.configurationId}" in branch "${branchId}"`,
    ),
  versionNotFound: (version: number) =>
    new AppError('not-found', 'configuration.version-not-found', `Version ${version} not found`),
  invalidContent: (reason: string) =>
    invalid('configuration.invalid-content', `Invalid configuration body format: ${reason}`),
  invalidState: (reason: string) => invalid('configuration.invalid-state', `Invalid state body format: ${reason}`),
  tooLarge: (what: string) => new AppError('too-large', 'configuration.too-large', `The ${what} is larger than 4 MB`),
  invalidId: (key: string) =>
    invalid(
      'configuration.invalid-parameters',
      `Invalid parameters - ${key}: Only alphanumeric characters, dots, dashes and underscores are allowed.`,
    ),
  invalidRowOrder: (reason: string) => invalid('configuration.invalid-row-order', `Invalid rowsSortOrder: ${reason}`),
  disabled: (componentId: string, id: string) =>
    invalid('configuration.disabled', `Configuration "${id}" of component "${componentId}" is disabled.`),
  rowNotFound: (id: string) =>
    new AppError('not-found', 'configuration-row.not-found', `Row ${id} not found`, { details: { rowId: id } }),
  rowAlreadyExists: (id: string) =>
    invalid('configuration-row.already-exists', `Row "${id}" already exists`, { rowId: id }),
  rowVersionNotFound: (version: number) =>
    new AppError('not-found', 'configuration-row.version-not-found', `Version ${version} not found`),
  stateInBranch: (what: 'configuration' | 'configuration row') =>
    invalid(
      'configuration.state-in-branch',
      `Using 'state' parameter on ${what} update is restricted for dev/branch context. Use direct API call.`,
    ),
  noRowsFound: (ids: string[]) => invalid('configuration.no-rows-found', `None of rows "${ids.join(',')}" was found.`),
  processorsTwice: () =>
    invalid(
      'configuration.processors-twice',
      'Processors may be set either in configuration or in configuration row, but not in both places.',
    ),
  variablesUnsupported: () =>
    invalid('configuration.variables-unsupported', 'Variables in configurations are not supported by this version.'),
  sharedCodeUnsupported: () =>
    invalid('configuration.shared-code-unsupported', 'Shared code is not supported by this version.'),
};
