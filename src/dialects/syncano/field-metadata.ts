import { SCRIPT_RUNTIMES } from '../../core/scripts/script-model.ts';

/** What OPTIONS tells of a member of a resource, in the order in which clients have always got it. */
export type FieldMetadata = {
  read_only: boolean;
  required: boolean;
  type: string;
  label?: string;
  max_length?: number;
  min_value?: number;
  max_value?: number;
  choices?: { display_name: string; value: string }[];
  links?: { type: string; name: string }[];
  /** In the schema call only. */
  primary_key?: true;
};

export type ResourceMetadata = {
  /** Answered as `<title> List` and `<title> Instance`. */
  title: string;
  /** What POST on the list takes. */
  create: Record<string, FieldMetadata> | undefined;
  /** What PUT on the detail takes (POST for objects). */
  change: Record<string, FieldMetadata> | undefined;
  changeMethod: 'PUT' | 'POST';
};

/** How often a schedule may run, in seconds. */
export const INTERVAL_SECONDS = { min_value: 30, max_value: 86_400 };

const PARSES = ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'];
const RENDERS = ['application/json', 'text/html'];

const readOnly = (type: string, label?: string): FieldMetadata => ({
  read_only: true,
  required: false,
  type,
  ...(label !== undefined && { label }),
});
const writable = (type: string, label: string, more: Partial<FieldMetadata> = {}): FieldMetadata => ({
  read_only: false,
  required: false,
  type,
  label,
  ...more,
});
const choice = (values: readonly string[]): FieldMetadata => ({
  read_only: false,
  required: true,
  type: 'choice',
  choices: values.map((value) => ({ display_name: value, value })),
});
const links = (...pairs: [type: string, name: string][]): FieldMetadata => ({
  ...readOnly('links'),
  links: pairs.map(([type, name]) => ({ type, name })),
});

const created = readOnly('datetime', 'created at');
const updated = readOnly('datetime', 'updated at');
const revision: FieldMetadata = { read_only: true, required: true, type: 'integer', label: 'revision' };
const expectedRevision = writable('integer', 'expected revision');

const CLASS_RIGHTS = ['none', 'read', 'create_objects'];
const OBJECT_RIGHTS = ['none', 'read', 'write', 'full'];
const optional = (metadata: FieldMetadata): FieldMetadata => ({ ...metadata, required: false });

const classFields: Record<string, FieldMetadata> = {
  status: readOnly('field'),
  group: writable('field', 'group'),
  name: { read_only: false, max_length: 50, required: true, type: 'string', label: 'name' },
  links: links(['detail', 'self'], ['list', 'objects'], ['detail', 'group']),
  group_permissions: choice(CLASS_RIGHTS),
  created_at: created,
  description: writable('string', 'description'),
  updated_at: updated,
  objects_count: readOnly('field'),
  metadata: writable('field', 'metadata'),
  revision,
  other_permissions: choice(CLASS_RIGHTS),
  schema: { read_only: false, required: true, type: 'field', label: 'schema' },
};

const objectFields: Record<string, FieldMetadata> = {
  id: readOnly('integer', 'id'),
  created_at: created,
  updated_at: updated,
  revision,
  owner: writable('field', 'owner'),
  owner_permissions: optional(choice(OBJECT_RIGHTS)),
  group: writable('field', 'group'),
  group_permissions: optional(choice(OBJECT_RIGHTS)),
  other_permissions: optional(choice(OBJECT_RIGHTS)),
  channel: readOnly('field', 'channel'),
  channel_room: readOnly('string', 'channel room'),
  links: links(['detail', 'self'], ['detail', 'owner'], ['detail', 'group']),
};

const userFields: Record<string, FieldMetadata> = {
  id: readOnly('integer', 'id'),
  username: { read_only: false, max_length: 64, required: true, type: 'string', label: 'username' },
  password: { read_only: false, max_length: 128, required: true, type: 'string', label: 'password' },
  user_key: readOnly('string', 'user key'),
  profile: writable('field', 'profile'),
  groups: readOnly('field', 'groups'),
  links: links(['detail', 'self'], ['list', 'groups'], ['key', 'reset-key'], ['detail', 'profile']),
};

const groupFields: Record<string, FieldMetadata> = {
  id: readOnly('integer', 'id'),
  name: writable('slug', 'name', { max_length: 64 }),
  label: { read_only: false, max_length: 64, required: true, type: 'string', label: 'label' },
  description: writable('string', 'description', { max_length: 256 }),
  links: links(['detail', 'self'], ['list', 'users']),
};

const groupUserFields: Record<string, FieldMetadata> = {
  user: { read_only: false, required: true, type: 'field', label: 'user' },
  links: links(['detail', 'self']),
};

const userGroupFields: Record<string, FieldMetadata> = {
  group: { read_only: false, required: true, type: 'field', label: 'group' },
  links: links(['detail', 'self']),
};

const apiKeyFields: Record<string, FieldMetadata> = {
  id: readOnly('integer', 'id'),
  description: writable('string', 'description', { max_length: 256 }),
  api_key: readOnly('string', 'api key'),
  ignore_acl: writable('boolean', 'ignore acl'),
  allow_user_create: writable('boolean', 'allow user create'),
  allow_group_create: writable('boolean', 'allow group create'),
  allow_anonymous_read: writable('boolean', 'allow anonymous read'),
  created_at: created,
  links: links(['detail', 'self'], ['key', 'reset_key']),
};

const accountFields: Record<string, FieldMetadata> = {
  id: readOnly('integer', 'id'),
  email: writable('email', 'email', { max_length: 254 }),
  first_name: writable('string', 'first name', { max_length: 35 }),
  last_name: writable('string', 'last name', { max_length: 35 }),
  is_active: readOnly('boolean', 'is active'),
  has_password: readOnly('boolean', 'has password'),
  metadata: writable('field', 'metadata'),
};

const instanceFields: Record<string, FieldMetadata> = {
  name: { read_only: true, max_length: 64, required: false, type: 'string', label: 'name' },
  description: readOnly('string', 'description'),
  owner: readOnly('field', 'owner'),
  role: readOnly('field'),
  location: readOnly('string', 'location'),
  metadata: readOnly('field', 'metadata'),
  created_at: created,
  updated_at: updated,
  links: links(
    ['detail', 'self'],
    ['list', 'classes'],
    ['list', 'users'],
    ['batch', 'batch'],
    ['list', 'scripts'],
    ['list', 'schedules'],
  ),
};

const scriptFields: Record<string, FieldMetadata> = {
  id: readOnly('integer', 'id'),
  runtime_name: {
    ...choice(SCRIPT_RUNTIMES.map(({ name }) => name)),
    label: 'runtime name',
  },
  source: writable('string', 'source'),
  created_at: created,
  updated_at: updated,
  config: writable('field', 'config'),
  label: { read_only: false, max_length: 64, required: true, type: 'string', label: 'label' },
  description: writable('string', 'description'),
  links: links(['detail', 'self'], ['list', 'runtimes'], ['run', 'run'], ['list', 'traces']),
};

const scheduleFields: Record<string, FieldMetadata> = {
  id: readOnly('integer', 'id'),
  label: { read_only: false, max_length: 64, required: true, type: 'string', label: 'label' },
  description: writable('string', 'description'),
  created_at: created,
  interval_sec: writable('integer', 'interval sec', INTERVAL_SECONDS),
  crontab: writable('string', 'crontab', { max_length: 40 }),
  timezone: writable('string', 'timezone'),
  scheduled_next: readOnly('datetime', 'scheduled next'),
  script: { read_only: false, required: true, type: 'field', label: 'script' },
  payload: writable('field', 'payload'),
  links: links(['detail', 'self'], ['list', 'traces'], ['detail', 'script']),
};

const endpointFields: Record<string, FieldMetadata> = {
  name: { read_only: false, max_length: 64, required: true, type: 'slug', label: 'name' },
  description: writable('string', 'description'),
  script: { read_only: false, required: true, type: 'field', label: 'script' },
  public_link: readOnly('string', 'public link'),
  public: writable('boolean', 'public'),
  links: links(
    ['detail', 'self'],
    ['run', 'run'],
    ['link', 'reset-link'],
    ['detail', 'script'],
    ['link', 'public-link'],
    ['list', 'traces'],
  ),
};

const traceFields: Record<string, FieldMetadata> = {
  id: readOnly('integer', 'id'),
  status: readOnly('choice', 'status'),
  executed_at: readOnly('datetime', 'executed at'),
  duration: readOnly('integer', 'duration'),
  result: readOnly('field', 'result'),
  links: links(['detail', 'self']),
};

/** Every resource by the name its routes have. The schema call describes the same. */
export const RESOURCES = {
  instance: { title: 'Instance', create: undefined, change: undefined, changeMethod: 'PUT', fields: instanceFields },
  class: {
    title: 'Class',
    create: classFields,
    change: {
      ...classFields,
      name: { read_only: true, max_length: 50, required: false, type: 'string', label: 'name' },
      expected_revision: expectedRevision,
    },
    changeMethod: 'PUT',
    fields: classFields,
  },
  object: {
    title: 'Object',
    create: objectFields,
    change: { ...objectFields, expected_revision: expectedRevision },
    changeMethod: 'POST',
    fields: objectFields,
  },
  script: {
    title: 'Script',
    create: scriptFields,
    change: scriptFields,
    changeMethod: 'PUT',
    fields: scriptFields,
  },
  scriptEndpoint: {
    title: 'Script Endpoint',
    create: endpointFields,
    change: {
      ...endpointFields,
      name: { read_only: true, max_length: 64, required: false, type: 'slug', label: 'name' },
    },
    changeMethod: 'PUT',
    fields: endpointFields,
  },
  trace: {
    title: 'Script Trace',
    create: undefined,
    change: undefined,
    changeMethod: 'PUT',
    fields: traceFields,
  },
  schedule: {
    title: 'Schedule',
    create: scheduleFields,
    change: scheduleFields,
    changeMethod: 'PUT',
    fields: scheduleFields,
  },
  scriptEndpointTrace: {
    title: 'Script Endpoint Trace',
    create: undefined,
    change: undefined,
    changeMethod: 'PUT',
    fields: traceFields,
  },
  scheduleTrace: {
    title: 'Schedule Trace',
    create: undefined,
    change: undefined,
    changeMethod: 'PUT',
    fields: traceFields,
  },
  group: { title: 'Group', create: groupFields, change: groupFields, changeMethod: 'PUT', fields: groupFields },
  groupUser: {
    title: 'Group User',
    create: groupUserFields,
    change: undefined,
    changeMethod: 'PUT',
    fields: groupUserFields,
  },
  userGroup: {
    title: 'User Group',
    create: userGroupFields,
    change: undefined,
    changeMethod: 'PUT',
    fields: userGroupFields,
  },
  apiKey: { title: 'Api Key', create: apiKeyFields, change: apiKeyFields, changeMethod: 'PUT', fields: apiKeyFields },
  account: {
    title: 'Account',
    create: undefined,
    change: accountFields,
    changeMethod: 'PUT',
    fields: accountFields,
  },
  user: { title: 'User', create: userFields, change: userFields, changeMethod: 'PUT', fields: userFields },
} satisfies Record<string, ResourceMetadata & { fields: Record<string, FieldMetadata> }>;

/** The answer to OPTIONS. Calls that the asker may not make are left out. */
export function describeList({ title, create }: ResourceMetadata, canCreate: boolean): object {
  return describe(`${title} List`, canCreate && create ? { POST: create } : undefined);
}

export function describeDetail({ title, change, changeMethod }: ResourceMetadata, canChange: boolean): object {
  return describe(`${title} Instance`, canChange && change ? { [changeMethod]: change } : undefined);
}

/** Of a plain call such as Batch. */
export function describe(name: string, actions?: object): object {
  return { parses: PARSES, renders: RENDERS, name, ...(actions && { actions }), description: '' };
}
