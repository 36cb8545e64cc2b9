import type { Order, RecordFilter } from '../../lib/filter.ts';

export type ObjectRight = 'none' | 'read' | 'write' | 'full';
export const OBJECT_RIGHTS = ['none', 'read', 'write', 'full'] as const satisfies readonly ObjectRight[];

/**
 * A data object as it is answered. `document` is its JSON text, built by the database and never parsed on the way:
 * id, created_at, updated_at, revision, owner, owner_permissions, group, group_permissions, other_permissions, channel,
 * channel_room, then the fields of its class in their order.
 */
export type ObjectDocument = {
  id: number;
  revision: number;
  ownerId: number | undefined;
  groupId: number | undefined;
  document: string;
};

/** Who may do what with an object. Absent members: the defaults at creation, no change later. */
export type ObjectAccess = {
  ownerId?: number | null | undefined;
  ownerRight?: ObjectRight | undefined;
  groupId?: number | null | undefined;
  groupRight?: ObjectRight | undefined;
  otherRight?: ObjectRight | undefined;
};

export type NewObject = ObjectAccess & {
  /** Values by field; names that the class does not have are ignored. */
  values: Record<string, unknown>;
};

export type ObjectPatch = NewObject & {
  expectedRevision?: number | undefined;
};

export type ObjectQuery = {
  filter?: RecordFilter | undefined;
  /** Default: by id. Ties are broken by id in the same direction. */
  order?: Order | undefined;
  limit: number;
  /** Only what lies after this place in the order, or before it for `back`. */
  cursor?: ObjectCursor | undefined;
  /** The last ones before the cursor, or of all, instead of the first ones after it; the order is the same. */
  back?: boolean | undefined;
};

/** The id of an object and, for orders by a field, its value there as text. */
export type ObjectCursor = { id: number; value?: string | null | undefined };

/** The members of every object that can be filtered by, with how they compare. */
export const OWN_FIELDS = {
  id: 'integer',
  created_at: 'date',
  updated_at: 'date',
  revision: 'integer',
  owner: 'integer',
  group: 'integer',
  channel: 'text',
  channel_room: 'text',
} as const;

/** The members of an end user that a reference to one can be filtered by, besides the fields of its profile. */
export const USER_FIELDS = {
  id: 'integer',
  username: 'text',
  created_at: 'date',
  updated_at: 'date',
} as const;

export const OBJECT_LIMITS = {
  stringLength: 128,
  textLength: 32_000,
  documentLength: 32_768,
  relationLength: 1000,
  /** Of the records that a filter on references is asked about. */
  nestedMatches: 1000,
  /** Of listings with filters or orders, which can ask for anything. */
  listMs: 2000,
} as const;
