import { type Static, Type } from 'typebox';
import type { NewColumnDefinition } from '../../../core/tables/column-types.ts';
import { tableErrors } from '../../../core/tables/table-errors.ts';
import type { ColumnChange } from '../../../core/tables/table-structure.ts';
import { parseBoolean } from '../scalars.ts';

/** Type and particulars of a column, as requests have them. */
export const ColumnDefinitionBody = {
  definition: Type.Optional(
    Type.Union([
      Type.Object({
        type: Type.String({ minLength: 1 }),
        length: Type.Optional(Type.Unknown({ description: 'text or number: "38,0"' })),
        nullable: Type.Optional(Type.Boolean()),
        default: Type.Optional(Type.Unknown({ description: 'text, number or boolean' })),
      }),
      Type.String({ minLength: 1, description: 'the type alone' }),
    ]),
  ),
  basetype: Type.Optional(
    Type.String({
      description: 'BOOLEAN, DATE, FLOAT, INTEGER, NUMERIC, STRING or TIMESTAMP; instead of a definition',
    }),
  ),
};
const Body = Type.Object(ColumnDefinitionBody);

/** Null: the column says nothing of its type. */
export function toColumnDefinition({ definition, basetype }: Static<typeof Body>): NewColumnDefinition | null {
  if (typeof definition === 'string') return { type: definition };
  if (definition !== undefined) {
    const { type, length, nullable } = definition;
    return { type, length: toText(length, 'length'), nullable, default: toText(definition.default, 'default') };
  }
  return basetype === undefined || basetype === '' ? null : { basetype };
}

/** A member that is not there leaves things as they are; `default` with null or an empty text takes the default away. */
export function toColumnChange(name: string, body: Record<string, unknown>): ColumnChange {
  const { length, nullable, description } = body;
  const standard = toText(body.default, 'default') ?? '';
  return {
    name,
    length: toText(length, 'length'),
    nullable: nullable === undefined || nullable === null ? undefined : parseBoolean(nullable, 'nullable'),
    default: Object.hasOwn(body, 'default') ? (standard === '' ? null : standard) : undefined,
    description: toText(description, 'description'),
  };
}

function toText(value: unknown, name: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw tableErrors.invalid(`Invalid parameters - ${name}: This value should be of type string.`);
}
