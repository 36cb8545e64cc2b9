import { type TSchema, Type } from '@fastify/type-provider-typebox';

/**
 * What the calls answer, for the OpenAPI document alone: answers are shaped by the routes, and nothing is cut from them
 * because it is missing here.
 */
const text = Type.String();
const seconds = Type.Integer({ description: 'Seconds since 1970' });
const stars = Type.Object({}, { additionalProperties: true, description: 'Secrets come as ************.' });

const Token = Type.Object({ access_token: text, token_type: Type.Literal('Bearer'), expires_in: Type.Integer() });
const Workspace = Type.Object({ workspaceId: text, name: text, dataResidency: text, notifications: Type.Object({}) });
const Definition = Type.Object({ id: text, name: text, dockerRepository: text, dockerImageTag: text });
const Connector = (role: 'source' | 'destination') =>
  Type.Object({
    [`${role}Id`]: text,
    name: text,
    [`${role}Type`]: text,
    definitionId: text,
    workspaceId: text,
    configuration: stars,
    createdAt: seconds,
  });
const Connection = Type.Object({
  connectionId: text,
  name: text,
  sourceId: text,
  destinationId: text,
  workspaceId: text,
  status: Type.Union([Type.Literal('active'), Type.Literal('inactive'), Type.Literal('deprecated')]),
  schedule: Type.Object({ scheduleType: text, cronExpression: Type.Optional(text), basicTiming: Type.Optional(text) }),
  nonBreakingSchemaUpdatesBehavior: text,
  namespaceDefinition: text,
  prefix: text,
  configurations: Type.Object({ streams: Type.Array(Type.Object({ name: text, syncMode: text })) }),
  createdAt: seconds,
});
const Stream = Type.Object({
  streamName: text,
  syncModes: Type.Array(text, { description: 'Null without a destination' }),
  defaultCursorField: Type.Array(text),
  sourceDefinedCursorField: Type.Boolean(),
  sourceDefinedPrimaryKey: Type.Array(Type.Array(text)),
  propertyFields: Type.Array(Type.Array(text)),
});
const Job = Type.Object({
  jobId: Type.Integer(),
  status: text,
  jobType: text,
  startTime: text,
  connectionId: text,
  lastUpdatedAt: Type.Optional(text),
  duration: Type.Optional(text),
  bytesSynced: Type.Optional(Type.Integer()),
  rowsSynced: Type.Optional(Type.Integer()),
});
const Problem = Type.Object(
  {
    status: Type.Integer(),
    type: text,
    title: text,
    detail: text,
    data: Type.Object({ message: text }),
    errorId: text,
  },
  { description: 'What was wrong' },
);

/** By the last word of the path that is no id. */
const SHAPES: Record<string, TSchema> = {
  token: Token,
  workspaces: Workspace,
  sources: Connector('source'),
  destinations: Connector('destination'),
  connections: Connection,
  jobs: Job,
};
const isList = (method: string, url: string) => method === 'GET' && !url.endsWith('Id') && !url.endsWith(':id');
const page = (items: TSchema) => Type.Object({ data: Type.Array(items), previous: text, next: text });

/** Every answer of a call by its status. */
export function documentedAnswers(method: string, url: string): Record<string, TSchema> {
  const word = url.split('/').findLast((part) => part !== '' && !part.startsWith(':')) ?? '';
  const described = (schema: TSchema) => ({ description: 'The answer', ...schema });
  const problem = { '4xx': Problem };
  if (word === 'health') return { 200: described(Type.String()), '5xx': Problem };
  if (method === 'DELETE' && word !== 'jobs') return { 204: Type.Null({ description: 'Deleted' }), ...problem };
  const shape =
    word === 'streams'
      ? Type.Array(Stream)
      : url.includes('definitions')
        ? isList(method, url)
          ? Type.Object({ data: Type.Array(Definition) })
          : Definition
        : SHAPES[word] && (isList(method, url) ? page(SHAPES[word]) : SHAPES[word]);
  return { ...(shape && { 200: described(shape) }), ...problem };
}
