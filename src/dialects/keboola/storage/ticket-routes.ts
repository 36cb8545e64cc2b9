import { Type } from 'typebox';
import { AppError } from '../../../core/errors.ts';
import { transliterate } from '../../../core/tables/names.ts';
import type { KeboolaApp, KeboolaDeps } from '../deps.ts';
import { invalidRequest } from '../validation.ts';

const MAX_COLUMN = 64;
const SYSTEM_COLUMNS = ['oid', 'tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'];

const ColumnNames = Type.Object({ columnNames: Type.Array(Type.String()) });

/** Small helpers without a resource behind them: ids, and what a free text becomes as a name. */
export function registerTicketRoutes(app: KeboolaApp, deps: KeboolaDeps): void {
  app.post('/tickets', { schema: { summary: 'A new id, larger than all before' } }, async (request, reply) => {
    const id = await deps.core.jobs.ticket(request.actor);
    reply.code(201);
    return { id };
  });

  app.post(
    '/webalize/display-name',
    { schema: { summary: 'A valid display name out of any text', body: Type.Object({ displayName: Type.String() }) } },
    async (request) => {
      const displayName = transliterate(request.body.displayName)
        .replace(/[^A-Za-z0-9_-]+/g, '-')
        .replace(/-{2,}/g, '-')
        .replace(/^-+|-+$/g, '');
      if (displayName === '') {
        throw new AppError('invalid', 'name.not-possible', 'Filtered name "" should be valid name');
      }
      return { displayName };
    },
  );

  app.post(
    '/webalize/column-names',
    { schema: { summary: 'Column names out of any texts', body: ColumnNames } },
    async (request) => ({
      columnNames: request.body.columnNames.map((text) =>
        transliterate(text)
          .replace(/[^A-Za-z0-9]+/g, '_')
          .replace(/^_+|_+$/g, '')
          .slice(0, MAX_COLUMN),
      ),
    }),
  );

  app.post(
    '/validate/column-names',
    { schema: { summary: 'Whether texts are valid column names', body: ColumnNames } },
    async (request, reply) => {
      const problems = request.body.columnNames.flatMap((name, i) => {
        const message = columnNameProblem(name);
        return message === undefined ? [] : [{ key: `columnNames[${i}]`, message }];
      });
      if (problems.length > 0) throw invalidRequest(problems, 'name.invalid-columns');
      return reply.code(204).send();
    },
  );
}

function columnNameProblem(name: string): string | undefined {
  if (name === '') return 'This value should not be blank.';
  if (SYSTEM_COLUMNS.includes(name.toLowerCase())) {
    return `"${name}" is a system column used by the database for internal purposes.`;
  }
  if (!/^[A-Za-z0-9_-]+$/.test(name)) {
    return `"${name}" contains not allowed characters. Only alphanumeric characters dash and underscores are allowed.`;
  }
  return name.length > MAX_COLUMN ? `Column name cannot be longer than ${MAX_COLUMN} characters.` : undefined;
}
