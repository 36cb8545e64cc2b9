import type { FastifyInstance } from 'fastify';
import { escapeHtml, page } from './page.ts';

/** The parts of an OpenAPI document that the page shows. */
type Schema = {
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  const?: unknown;
};
type Operation = {
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: { name: string; in: string; required?: boolean; description?: string; schema?: Schema }[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
};
type OpenApi = { info: { title: string; description?: string }; paths: Record<string, Record<string, Operation>> };

export type DocumentedDialect = { name: string; title: string; openapi: () => object };

/** `/docs` lists every dialect's calls as its own OpenAPI document describes them. */
export function registerDocs(app: FastifyInstance, dialects: readonly DocumentedDialect[]): void {
  // Made once, at the first question: the routes cannot change while the server runs.
  let html: string | undefined;
  app.get('/docs', { config: { public: true } }, async (_request, reply) => {
    html ??= page('API reference', `<h1>API reference</h1>${dialects.map(dialectSection).join('')}`);
    reply.type('text/html; charset=utf-8');
    return html;
  });
  for (const dialect of dialects) {
    app.get(`/docs/${dialect.name}/openapi.json`, { config: { public: true } }, async () => dialect.openapi());
  }
}

function dialectSection({ name, title, openapi }: DocumentedDialect): string {
  const { paths, info } = openapi() as OpenApi;
  const groups = new Map<string, string[]>();
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? 'Other';
      const group = groups.get(tag) ?? [];
      groups.set(tag, group);
      group.push(operationEntry(method, path, operation));
    }
  }
  const sections = [...groups].map(([tag, entries]) => `<h3>${escapeHtml(tag)}</h3>${entries.join('')}`);
  return `<h2 id="${escapeHtml(name)}">${escapeHtml(title)}</h2>
<p class="muted">${escapeHtml(info.description ?? '')} <a href="/docs/${escapeHtml(name)}/openapi.json">openapi.json</a></p>
${sections.join('')}`;
}

function operationEntry(method: string, path: string, operation: Operation): string {
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  const rows = [
    ...(operation.parameters ?? []).map((one) =>
      row(one.name, one.in, one.schema, one.required === true, one.description),
    ),
    ...Object.entries(body?.properties ?? {}).map(([name, schema]) =>
      row(name, 'body', schema, body?.required?.includes(name) === true, schema.description),
    ),
  ];
  const table = rows.length === 0 ? '<p class="muted">No parameters.</p>' : `<table>${rows.join('')}</table>`;
  return `<details><summary><span class="method">${method.toUpperCase()}</span> <code>${escapeHtml(path)}</code> ${escapeHtml(
    operation.summary ?? '',
  )}</summary>${operation.description ? `<p>${escapeHtml(operation.description)}</p>` : ''}${table}</details>
`;
}

function row(name: string, place: string, schema: Schema | undefined, required: boolean, description = ''): string {
  const cells = [
    `<code>${escapeHtml(name)}</code>${required ? ' *' : ''}`,
    escapeHtml(place),
    escapeHtml(typeName(schema)),
    escapeHtml(description),
  ];
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

function typeName(schema: Schema | undefined): string {
  if (schema?.anyOf) return schema.anyOf.map(typeName).join(' | ');
  if (schema?.const !== undefined) return JSON.stringify(schema.const);
  if (schema?.type === 'array') return `array of ${typeName(schema.items)}`;
  return schema?.type ?? 'any';
}
