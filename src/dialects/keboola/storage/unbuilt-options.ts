import { Type } from 'typebox';
import { AppError, errors } from '../../../core/errors.ts';

/**
 * Options of loads and reads that change what comes out and that we do not have: refused, because rows that are not
 * what was asked for are worse than none. What the original ignores itself (`transactional`, `partial`,
 * `sourceBranchId` of a load) is not here.
 */
export const UnbuiltLoadOptions = {
  treatValuesAsNull: Type.Optional(Type.Array(Type.String(), { maxItems: 1 })),
  deduplicationStrategy: Type.Optional(Type.Union([Type.Literal('upsert'), Type.Literal('insert')])),
  useTimestampFromDataFile: Type.Optional(Type.Boolean()),
};

type LoadOptions = {
  deduplicationStrategy?: string | undefined;
  useTimestampFromDataFile?: boolean | undefined;
  treatValuesAsNull?: string[] | undefined;
};

export function refuseUnbuiltLoadOptions(options: LoadOptions): void {
  if (options.deduplicationStrategy === 'insert') throw errors.optionNotImplemented('deduplicationStrategy insert');
  if (options.useTimestampFromDataFile) throw errors.optionNotImplemented('useTimestampFromDataFile');
  // The empty text alone is what clients send anyway, and in tables of texts it stays an empty text.
  if (options.treatValuesAsNull?.some((value) => value !== '')) throw errors.optionNotImplemented('treatValuesAsNull');
}

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
