import type { OpenTable } from '../tables/table-rows.ts';

/** What the fields of a class can hold. */
export const FIELD_TYPES = [
  'string',
  'text',
  'integer',
  'float',
  'boolean',
  'datetime',
  'file',
  'reference',
  'relation',
  'array',
  'object',
  'geopoint',
] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

/** The target of references to end users. */
export const USER_TARGET = 'user';
/** The class whose objects are the profiles of end users. */
export const PROFILE_CLASS = 'user_profile';

export type ClassField = {
  /** Unique in the class for ever: a field that is dropped and made anew is another one. */
  number: number;
  name: string;
  type: FieldType;
  /** May be filtered by. */
  filterIndex: boolean;
  /** May be ordered by. */
  orderIndex: boolean;
  unique: boolean;
  /** Of references and relations: a class, `self`, or `user`. */
  target: string | undefined;
};

export type ClassRight = 'none' | 'read' | 'create_objects';
export const CLASS_RIGHTS = ['none', 'read', 'create_objects'] as const satisfies readonly ClassRight[];

export type ObjectClass = {
  id: number;
  projectId: number;
  name: string;
  description: string;
  fields: ClassField[];
  metadata: Record<string, unknown>;
  /** 1 at first; one more with each change of the fields. */
  revision: number;
  groupId: number | undefined;
  groupRight: ClassRight;
  otherRight: ClassRight;
  /** The table whose rows are the objects of this read-only class. */
  sourceTableId: string | undefined;
  /** That table as it is now, where there is one; `fields` are then those it has now. */
  source?: OpenTable | undefined;
  /** ISO text with microseconds. */
  createdAt: string;
  updatedAt: string;
};

export type NewClass = {
  name: string;
  description?: string | undefined;
  fields: FieldDefinition[];
  metadata?: Record<string, unknown> | undefined;
  groupId?: number | undefined;
  groupRight?: ClassRight | undefined;
  otherRight?: ClassRight | undefined;
  /** Then without fields, every column of the table is one. */
  sourceTableId?: string | undefined;
};

/** Absent members stay as they are. */
export type ClassPatch = Partial<Omit<NewClass, 'name' | 'groupId' | 'fields' | 'sourceTableId'>> & {
  fields?: FieldDefinition[] | undefined;
  groupId?: number | null | undefined;
  /** Refused when the class has another revision by now. */
  expectedRevision?: number | undefined;
};

/** A field as its author writes it. */
export type FieldDefinition = {
  name: string;
  type: FieldType;
  filterIndex: boolean;
  orderIndex: boolean;
  unique: boolean;
  target: string | undefined;
};

export const CLASS_LIMITS = { classes: 100, fields: 32, indexes: 16, geopointIndexes: 1, nameLength: 64 } as const;
