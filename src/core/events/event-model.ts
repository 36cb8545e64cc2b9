import type { QueryFields, QueryFilter } from '../../lib/query-string.ts';
import type { Actor } from '../identity/actor.ts';
import type { EventName } from './event-names.ts';

/** What the log can be searched by. A word without a field is looked for in the message. */
export const EVENT_QUERY_FIELDS: QueryFields = {
  fields: {
    event: 'keyword',
    'token.id': 'number',
    objectId: 'keyword',
    objectName: 'keyword',
    objectType: 'keyword',
    idBranch: 'number',
    component: 'keyword',
    runId: 'keyword',
    configurationId: 'keyword',
    type: 'keyword',
    message: 'text',
  },
  freeText: 'message',
};

export type EventType = 'info' | 'success' | 'warn' | 'error';
export const EVENT_TYPES = ['info', 'success', 'warn', 'error'] as const satisfies readonly EventType[];

export type NewEvent = {
  projectId: number;
  branchId?: number | undefined;
  /** From the catalogue, or `ext` for what clients and components report themselves. */
  name: EventName;
  /** Who reports: `storage` for the platform itself, else a component id. */
  component: string;
  type: EventType;
  message: string;
  description?: string | undefined;
  objectType?: string | undefined;
  objectId?: string | undefined;
  objectName?: string | undefined;
  configurationId?: string | undefined;
  runId?: string | undefined;
  token?: { id: number; name: string } | undefined;
  params?: object | undefined;
  results?: object | undefined;
  performance?: object | undefined;
  durationSeconds?: number | undefined;
  origin?: Partial<Actor['origin']> | undefined;
};

export type Event = {
  id: number;
  uuid: string;
  projectId: number;
  branchId: number | undefined;
  name: EventName;
  component: string;
  type: EventType;
  message: string;
  description: string;
  objectType: string | undefined;
  objectId: string | undefined;
  objectName: string | undefined;
  configurationId: string | undefined;
  runId: string | undefined;
  token: { id: number; name: string } | undefined;
  params: Record<string, unknown>;
  results: Record<string, unknown>;
  performance: Record<string, unknown>;
  durationSeconds: number | undefined;
  origin: Actor['origin'];
  createdAt: Date;
};

/** What a client or a running component reports by itself. */
export type NewExternalEvent = {
  component: string;
  message: string;
  type?: EventType | undefined;
  description?: string | undefined;
  configurationId?: string | undefined;
  runId?: string | undefined;
  params?: Record<string, unknown> | undefined;
  results?: Record<string, unknown> | undefined;
  performance?: Record<string, unknown> | undefined;
  durationSeconds?: number | undefined;
};

export type EventQuery = {
  component?: string | undefined;
  configurationId?: string | undefined;
  /** That run and every run below it (`a` finds `a`, `a.b`, `a.b.c`). */
  runId?: string | undefined;
  names?: EventName[] | undefined;
  excludedNames?: EventName[] | undefined;
  objectType?: string | undefined;
  objectId?: string | undefined;
  tokenId?: number | undefined;
  branchId?: number | undefined;
  /** What holds besides, over the fields of EVENT_QUERY_FIELDS. */
  where?: QueryFilter | undefined;
  /** Only events after this one (uuid or number). A reader that goes on from the last one it got misses nothing. */
  sinceId?: string | undefined;
  /** Only events before this one (uuid or number). */
  maxId?: string | undefined;
  /** Default 100, at most 10000. */
  limit?: number | undefined;
  offset?: number | undefined;
  /** Default: newest first. */
  direction?: 'asc' | 'desc' | undefined;
};
