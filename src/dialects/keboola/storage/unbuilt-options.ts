import { Type } from 'typebox';
import { AppError, errors } from '../../../core/errors.ts';
import type { ImportOptions } from '../../../core/tables/table-model.ts';

/** What the original ignores itself (`transactional`, `partial`, `sourceBranchId` of a load) is not here. */
export const LoadMeaning = {
  treatValuesAsNull: Type.Optional(Type.Array(Type.String(), { maxItems: 1 })),
  deduplicationStrategy: Type.Optional(Type.Union([Type.Literal('upsert'), Type.Literal('insert')])),
  useTimestampFromDataFile: Type.Optional(Type.Boolean()),
};

type LoadOptions = {
  deduplicationStrategy?: 'upsert' | 'insert' | undefined;
  useTimestampFromDataFile?: boolean | undefined;
  treatValuesAsNull?: string[] | undefined;
};

/** How rows of a file become rows of a table, in the words of the core. */
export function toLoadMeaning(
  options: LoadOptions,
): Pick<ImportOptions, 'nullTexts' | 'deduplication' | 'tellsTimestamp'> {
  return {
    nullTexts: options.treatValuesAsNull,
    deduplication: options.deduplicationStrategy,
    tellsTimestamp: options.useTimestampFromDataFile,
  };
}

/**
 * Options of reads that change what comes out and that we do not have: refused, because rows that are not
 * what was asked for are worse than none.
 */
type ReadOptions = {
  fulltextSearch?: string | undefined;
  timezone?: string | undefined;
  sourceBranchId?: string | undefined;
};

export function refuseUnbuiltReadOptions(options: ReadOptions, branchId: number): void {
  if (options.fulltextSearch) throw errors.optionNotImplemented('fulltextSearch');
  // Times are told in UTC.
  if (options.timezone && !/^(etc\/)?utc$/i.test(options.timezone)) throw errors.optionNotImplemented('timezone');
  const { sourceBranchId } = options;
  if (sourceBranchId && sourceBranchId !== 'default' && sourceBranchId !== String(branchId)) {
    throw errors.optionNotImplemented('sourceBranchId');
  }
}

/** `others` are formats that the original has for this call and we do not. */
export function requireRfcFormat(format: string | undefined, others: readonly string[]): void {
  if (format === undefined || format === '' || format === 'rfc') return;
  if (others.includes(format)) throw errors.optionNotImplemented(`format ${format}`);
  throw new AppError('invalid', 'table.invalid-format', `Invalid format "${format}".`);
}
