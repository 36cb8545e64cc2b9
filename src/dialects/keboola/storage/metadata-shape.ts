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

/** Of branches and configurations, whose items have no provider. */
export function toPlainMetadata(items: readonly MetadataItem[] | undefined): Record<string, unknown>[] {
  return toKeboolaMetadata(items).map(({ provider: _, ...item }) => item);
}

/** Column -> its items. */
export function toKeboolaColumnMetadata(
  columns: ReadonlyMap<string, readonly MetadataItem[]> | undefined,
): Record<string, Record<string, unknown>[]> {
  return Object.fromEntries([...(columns ?? [])].map(([column, items]) => [column, toKeboolaMetadata(items)]));
}
