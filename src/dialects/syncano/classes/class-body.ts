import { AppError } from '../../../core/errors.ts';
import { CLASS_RIGHTS, type ClassPatch, type ClassRight, type NewClass } from '../../../core/objects/class-model.ts';
import { readFieldDefinitions } from '../../../core/objects/field-definitions.ts';
import { type FieldProblems, objectErrors } from '../../../core/objects/object-errors.ts';
import { jsonMember } from '../body.ts';

const MAX_METADATA = { keys: 8, keyLength: 16, valueLength: 4096 };

/** The body of a POST on the list. All problems are told at once. */
export function readNewClass(body: object): NewClass {
  const read = reader(body);
  const { name } = body as { name?: unknown };
  const { schema, source_table: source } = body as { schema?: unknown; source_table?: unknown };
  if (name === undefined) read.problems.name = ['This field is required.'];
  else if (typeof name !== 'string') read.problems.name = ['Not a valid string.'];
  const hasSource = source !== undefined && source !== null;
  if (hasSource && typeof source !== 'string') read.problems.source_table = ['Not a valid string.'];
  if (schema === undefined && !hasSource) read.problems.schema = ['This field is required.'];
  const patch = read.patch();
  return {
    ...patch,
    name: String(name),
    fields: patch.fields ?? [],
    groupId: patch.groupId ?? undefined,
    ...(hasSource && { sourceTableId: String(source) }),
  };
}

/** The body of a PUT or PATCH; the name of a class never changes. */
export function readClassPatch(body: object, isWhole: boolean): ClassPatch {
  const read = reader(body);
  if (isWhole && !Object.hasOwn(body, 'schema')) read.problems.schema = ['This field is required.'];
  return read.patch();
}

function reader(body: object) {
  const problems: FieldProblems = {};
  const attempt = <T>(name: string, read: (value: unknown) => T): T | undefined => {
    const value = (body as Record<string, unknown>)[name];
    if (value === undefined) return undefined;
    try {
      return read(value);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      Object.assign(problems, (error.details?.fields as FieldProblems | undefined) ?? { [name]: [error.message] });
      return undefined;
    }
  };
  return {
    problems,
    patch(): ClassPatch {
      const patch: ClassPatch = {
        fields: attempt('schema', (value) => readFieldDefinitions(jsonMember(value))),
        description: attempt('description', (value) => readText('description', value)),
        metadata: attempt('metadata', readMetadata),
        groupId: attempt('group', readGroup),
        groupRight: attempt('group_permissions', (value) => readRight('group_permissions', value)),
        otherRight: attempt('other_permissions', (value) => readRight('other_permissions', value)),
        expectedRevision: attempt('expected_revision', readRevision),
      };
      if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
      return patch;
    },
  };
}

function readText(name: string, value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') throw problem(name, 'Not a valid string.');
  if (String(value).includes('\0')) throw problem(name, 'Null characters are not allowed.');
  return String(value);
}

/** Metadata is for small facts; it is read with every class. */
export function readMetadata(value: unknown): Record<string, unknown> {
  const metadata = jsonMember(value);
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    throw problem('metadata', 'Metadata passed in invalid format.');
  const entries = Object.entries(metadata);
  if (entries.length > MAX_METADATA.keys)
    throw problem('metadata', `Too many keys defined (exceeds ${MAX_METADATA.keys}).`);
  for (const [key, one] of entries) {
    if (key.length > MAX_METADATA.keyLength)
      throw problem('metadata', `Too long key defined (exceeds ${MAX_METADATA.keyLength}).`);
    if (JSON.stringify(one).length > MAX_METADATA.valueLength)
      throw problem('metadata', `Too long value defined for key ${key} (exceeds ${MAX_METADATA.valueLength}).`);
  }
  if (JSON.stringify(metadata).includes('\\u0000')) throw problem('metadata', 'Null characters are not allowed.');
  return metadata as Record<string, unknown>;
}

function readGroup(value: unknown): number | null {
  if (value === null || value === '') return null;
  const id = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof id === 'number' && Number.isSafeInteger(id)) return id;
  throw problem(
    'group',
    `Incorrect type. Expected pk value, received ${typeof value === 'string' ? 'str' : typeof value}.`,
  );
}

function readRight(name: string, value: unknown): ClassRight {
  const right = CLASS_RIGHTS.find((known) => known === value);
  if (!right) throw problem(name, `"${String(value)}" is not a valid choice.`);
  return right;
}

export function readRevision(value: unknown): number {
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number))
    throw problem('expected_revision', 'A valid integer is required.');
  return number;
}

function problem(name: string, text: string): AppError {
  return objectErrors.invalid({ [name]: [text] });
}
