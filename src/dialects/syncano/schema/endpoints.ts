import { type FieldMetadata, RESOURCES } from '../field-metadata.ts';
import { PREFIX } from '../links.ts';

type ResourceName = keyof typeof RESOURCES;

/** A path that is there, with all its methods, as the router knows it. */
export type Endpoint = {
  /** Without the prefix: `/instances/:instance/classes`. */
  url: string;
  /** In lower case, without those that only describe (HEAD, OPTIONS). */
  methods: string[];
  summary: string;
  /** What the path is about. */
  resource: ResourceName | undefined;
  /** `list`, `detail`, or the last word of what is done with one (`run`, `key` for `reset_key`). */
  kind: string;
  /** Of what is described without fields: the words of its path. */
  title: string;
  /** Whether it answers without a key. */
  isPublic: boolean;
};

export type Route = { url: string; method: string; summary: string; isPublic: boolean };

/** Which resource a collection holds; the first that fits. */
const COLLECTIONS: [end: RegExp, resource: ResourceName][] = [
  [/\/groups\/:\w+\/users$/, 'groupUser'],
  [/\/users\/:\w+\/groups$/, 'userGroup'],
  [/\/schedules\/:\w+\/traces$/, 'scheduleTrace'],
  [/\/endpoints\/scripts\/:\w+\/traces$/, 'scriptEndpointTrace'],
  [/\/traces$/, 'trace'],
  [/\/endpoints\/scripts$/, 'scriptEndpoint'],
  [/\/objects$/, 'object'],
  [/\/classes$/, 'class'],
  [/\/users$/, 'user'],
  [/\/user$/, 'user'],
  [/\/groups$/, 'group'],
  [/\/api_keys$/, 'apiKey'],
  [/\/snippets\/scripts$/, 'script'],
  [/\/schedules$/, 'schedule'],
  [/^\/account$/, 'account'],
  [/^\/instances$/, 'instance'],
];

/** The routes of one path put together. Nothing is listed that is not routed, and nothing that is routed is left out. */
export function toEndpoints(routes: readonly Route[]): Endpoint[] {
  const byUrl = new Map<string, { methods: Set<string>; summary: string; isPublic: boolean }>();
  for (const { url, method, summary, isPublic } of routes) {
    const path = url.slice(PREFIX.length).replace(/\/$/, '');
    const known = byUrl.get(path) ?? { methods: new Set(), summary, isPublic };
    known.methods.add(method.toLowerCase());
    known.summary ||= summary;
    byUrl.set(path, known);
  }
  return [...byUrl]
    .filter(([url]) => url !== '' && url !== '/schema')
    .map(([url, { methods, summary, isPublic }]) => ({
      url,
      methods: [...methods].filter((method) => method !== 'head' && method !== 'options'),
      summary,
      isPublic,
      ...classify(url),
    }))
    .filter(({ methods }) => methods.length > 0);
}

const ONE_OF_A_KIND = ['user', 'account'];

function classify(url: string): Pick<Endpoint, 'resource' | 'kind' | 'title'> {
  const segments = url.split('/').slice(1);
  for (let length = segments.length; length > 0; length--) {
    const start = `/${segments.slice(0, length).join('/')}`;
    const resource = COLLECTIONS.find(([end]) => end.test(start))?.[1];
    if (!resource) continue;
    const rest = segments.slice(length);
    const isOnlyOne = ONE_OF_A_KIND.includes(segments[length - 1] ?? '');
    const [first, ...actions] = rest;
    if (rest.length === 0) return { resource, kind: isOnlyOne ? 'self' : 'list', title: RESOURCES[resource].title };
    const words = first?.startsWith(':') ? actions : rest;
    if (words.length === 0) return { resource, kind: 'detail', title: RESOURCES[resource].title };
    // A collection of its own below another, such as the runtimes of scripts or the batch of an instance.
    const title = titleOf(words);
    if (!ACTIONS.has(words[0] ?? '')) return { resource: undefined, kind: 'list', title };
    return { resource, kind: words.join('_').split('_').at(-1) ?? '', title: `${RESOURCES[resource].title} ${title}` };
  }
  return { resource: undefined, kind: 'list', title: titleOf(segments) };
}

/** What is done with one of a collection, as opposed to what lies below it. */
const ACTIONS = new Set([
  'reset_key',
  'run',
  'auth',
  'register',
  'password',
  'rename',
  'publish',
  'poll',
  'reset_link',
]);

function titleOf(words: readonly string[]): string {
  const named = words.filter((word) => !word.startsWith(':')).flatMap((word) => word.split('_'));
  return named.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(' ');
}

/** What a call of the endpoint takes and answers. */
export function fieldsOf({ resource, kind }: Endpoint): Record<string, FieldMetadata> {
  if (resource === undefined || (kind !== 'list' && kind !== 'detail' && kind !== 'self')) return {};
  const { fields, change } = RESOURCES[resource];
  const own: Record<string, FieldMetadata> = kind === 'list' ? fields : (change ?? fields);
  return own;
}
