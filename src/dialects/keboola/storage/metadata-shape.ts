import type { MetadataItem } from '../../../core/tables/object-metadata.ts';
import { formatDate } from '../scalars.ts';

export function toKeboolaMetadata(items: readonly MetadataItem[] | undefined): Record<string, unknown>[] {
  return (items ?? []).map((item) => ({
    id: String(item.id),
    key: item.key,
    value: item.value,
    provider: item.provider,
    timestamp: formatDate(item.updatedAt),
  }));
}

/** Column -> its items. */
export function toKeboolaColumnMetadata(
  columns: ReadonlyMap<string, readonly MetadataItem[]> | undefined,
): Record<string, Record<string, unknown>[]> {
  return Object.fromEntries([...(columns ?? [])].map(([column, items]) => [column, toKeboolaMetadata(items)]));
}
