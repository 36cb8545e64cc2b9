import type { KeysetPage } from '../../lib/filter.ts';
import type { RawJson } from '../../lib/json-text.ts';

/** Where a configuration is: the branch comes from the actor. */
export type ConfigurationAddress = { componentId: string; configurationId: string };

/** The token that made a version. */
export type Author = { tokenId: number; description: string };

/** What a version of a configuration keeps. */
export type ConfigurationContent = {
  name: string;
  description: string;
  isDisabled: boolean;
  configuration: RawJson;
  /** All row ids in the wanted order; empty: order of creation. */
  rowsSortOrder: string[];
};

/** What a version of a row keeps. */
export type RowContent = Omit<ConfigurationContent, 'rowsSortOrder'>;

/** Facts about one version, of a configuration or of a row. */
export type VersionStamp = {
  version: number;
  /** ULID, new with every version. */
  versionIdentifier: string;
  changeDescription: string;
  versionCreatedAt: Date;
  versionAuthor: Author;
};

export type Configuration = ConfigurationContent &
  VersionStamp & {
    /** Internal number; never shown. */
    key: number;
    componentId: string;
    id: string;
    isDeleted: boolean;
    state: RawJson;
    createdAt: Date;
    author: Author;
    rows: ConfigurationRow[];
  };

export type ConfigurationRow = RowContent &
  VersionStamp & {
    id: string;
    isDeleted: boolean;
    state: RawJson;
    createdAt: Date;
    author: Author;
  };

export type ConfigurationVersion = ConfigurationContent & VersionStamp & { isDeleted: boolean };
export type RowVersion = RowContent & VersionStamp & { rowId: string };

/** Texts are JSON texts as the client sent them. */
export type NewConfiguration = {
  /** Default: a number from the one sequence of ids. */
  id?: string | undefined;
  name: string;
} & ConfigurationPatch;

export type ConfigurationPatch = {
  name?: string | undefined;
  description?: string | undefined;
  configuration?: string | undefined;
  state?: string | undefined;
  isDisabled?: boolean | undefined;
  rowsSortOrder?: string[] | undefined;
  changeDescription?: string | undefined;
};

export type RowPatch = Omit<ConfigurationPatch, 'rowsSortOrder'>;
export type NewRow = RowPatch & { id?: string | undefined };

export type ConfigurationFilter = {
  componentId?: string | undefined;
  /** Default false: the trash is another list. */
  isDeleted?: boolean | undefined;
  /** Without contents, states and rows, which are then empty. */
  isBrief?: boolean | undefined;
};

/** One page over the configurations of several components, oldest first; without their rows. */
export type ConfigurationPage = {
  componentIds: string[];
  ids?: string[] | undefined;
  /** Also those in the trash. */
  includeDeleted?: boolean | undefined;
  limit?: number | undefined;
  offset?: number | undefined;
  /** By id from one on, instead of by offset and age: only those whose id is a number (or a text, of this order). */
  keyset?: ({ of: 'number' } & Keyset<number>) | ({ of: 'text' } & Keyset<string>) | undefined;
};

type Keyset<Key extends string | number> = Omit<KeysetPage<Key>, 'limit'>;

export type VersionPage = { limit?: number | undefined; offset?: number | undefined };

/** Rows in the order they run in: the wanted order first, then what it does not name, by creation. */
export function orderRows<Row extends { id: string }>(rows: Row[], rowsSortOrder: string[]): Row[] {
  if (rowsSortOrder.length === 0) return rows;
  const rank = new Map(rowsSortOrder.map((id, index) => [id, index]));
  return rows
    .map((row, index) => ({ row, rank: rank.get(row.id) ?? rowsSortOrder.length + index }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ row }) => row);
}
