import type { FastifySchemaCompiler } from 'fastify';
import { AppError } from '../../core/errors.ts';
import { isBooleanLike, notBooleanMessage, parseBoolean, parseList } from './scalars.ts';

/**
 * Route schemas are checked here and not by Ajv: the same value arrives as JSON, as form text or as a Python literal,
 * and the wording of what is wrong is part of the API.
 *
 * Understood of JSON schema: type, properties, required, items, enum, const, anyOf, patternProperties,
 * additionalProperties, minLength, maxLength, minimum, maximum, minItems, maxItems, pattern, default. Our own:
 * `x-list: true` on an array also takes comma separated text; `x-code` on the outermost schema replaces the error code.
 * Parameters that no schema names fall away silently, since clients send more than we know; an object schema without
 * properties or with `additionalProperties: true` keeps them. Null means absent.
 */
export type Problem = { key: string; message: string };

type Schema = {
  type?: string;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  default?: unknown;
  'x-list'?: boolean;
  'x-code'?: string;
};

const MISSING = Symbol('missing');

export const compileSchema: FastifySchemaCompiler<unknown> = ({ schema, httpPart }) => {
  const root = schema as Schema;
  return (value: unknown) => {
    const problems: Problem[] = [];
    const checked = check(root, value ?? {}, '', problems);
    if (problems.length === 0) return { value: checked };
    // An id that cannot be one is an unknown id: 404, not 400.
    if (httpPart === 'params') return { error: new AppError('not-found', 'resource.not-found', 'Resource not found') };
    return { error: invalidRequest(problems, root['x-code']) };
  };
};

/** The one place that words a refused request: `Invalid request:\n - path: "message"` and the list beside it. */
export function invalidRequest(problems: Problem[], code = 'request.failed-validation'): AppError {
  const onlyBooleans = problems.every((problem) => problem.message.includes('is not boolean'));
  const lines = problems.map((problem) => `\n - ${problem.key}: "${problem.message}"`);
  return new AppError('invalid', onlyBooleans ? 'request.not-boolean' : code, `Invalid request:${lines.join('')}`, {
    details: { errors: problems },
  });
}

function check(schema: Schema, value: unknown, path: string, problems: Problem[]): unknown {
  if (schema.anyOf) return checkAnyOf(schema.anyOf, value, path, problems);
  if (schema.const !== undefined) return checkOneOf([schema.const], value, path, problems);
  if (schema.enum) return checkOneOf(schema.enum, value, path, problems);
  switch (schema.type) {
    case 'boolean':
      if (isBooleanLike(value)) return parseBoolean(value, path);
      problems.push({ key: path, message: notBooleanMessage(value, path) });
      return value;
    case 'integer':
    case 'number':
      return checkNumber(schema, value, path, problems);
    case 'string':
      return checkString(schema, value, path, problems);
    case 'array':
      return checkArray(schema, value, path, problems);
    case 'object':
      return checkObject(schema, value, path, problems);
    default:
      return value;
  }
}

function checkAnyOf(choices: Schema[], value: unknown, path: string, problems: Problem[]): unknown {
  const constants = choices.map((choice) => choice.const);
  if (constants.every((constant) => constant !== undefined)) return checkOneOf(constants, value, path, problems);
  let first: Problem[] | undefined;
  for (const choice of choices) {
    const found: Problem[] = [];
    const checked = check(choice, value, path, found);
    if (found.length === 0) return checked;
    first ??= found;
  }
  problems.push(...(first ?? []));
  return value;
}

function checkOneOf(allowed: unknown[], value: unknown, path: string, problems: Problem[]): unknown {
  const match = allowed.find((one) => one === value || String(one) === value);
  if (match === undefined) {
    problems.push({
      key: path,
      message: `The value you selected is not a valid choice. Use one of: ${allowed.join(', ')}.`,
    });
  }
  return match;
}

function checkNumber(schema: Schema, value: unknown, path: string, problems: Problem[]): unknown {
  const number = typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
  if (
    typeof number !== 'number' ||
    !Number.isFinite(number) ||
    (schema.type === 'integer' && !Number.isSafeInteger(number))
  ) {
    problems.push({ key: path, message: `This value should be of type ${schema.type}.` });
  } else if (schema.minimum !== undefined && number < schema.minimum) {
    problems.push({ key: path, message: `This value should be greater than or equal to ${schema.minimum}.` });
  } else if (schema.maximum !== undefined && number > schema.maximum) {
    problems.push({ key: path, message: `This value should be less than or equal to ${schema.maximum}.` });
  }
  return number;
}

function checkString(schema: Schema, value: unknown, path: string, problems: Problem[]): unknown {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    problems.push({ key: path, message: 'This value should be of type string.' });
    return value;
  }
  const text = String(value);
  if (schema.minLength !== undefined && text.length < schema.minLength) {
    problems.push({
      key: path,
      message:
        text === ''
          ? 'This value should not be blank.'
          : `This value is too short. It should have ${schema.minLength} characters or more.`,
    });
  } else if (schema.maxLength !== undefined && text.length > schema.maxLength) {
    problems.push({
      key: path,
      message: `This value is too long. It should have ${schema.maxLength} characters or less.`,
    });
  } else if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(text)) {
    problems.push({ key: path, message: 'This value is not valid.' });
  } else if (text.includes('\0')) {
    problems.push({ key: path, message: 'This value must not contain the NUL character.' });
  }
  return text;
}

function checkArray(schema: Schema, value: unknown, path: string, problems: Problem[]): unknown {
  let items = value;
  if (value === '') items = [];
  else if (schema['x-list'] && (typeof value === 'string' || typeof value === 'number')) items = parseList(value);
  if (!Array.isArray(items)) {
    problems.push({ key: path, message: 'This value should be of type array.' });
    return value;
  }
  if (schema.maxItems !== undefined && items.length > schema.maxItems) {
    const elements = schema.maxItems === 1 ? 'element' : 'elements';
    problems.push({ key: path, message: `This collection should contain ${schema.maxItems} ${elements} or less.` });
  } else if (schema.minItems !== undefined && items.length < schema.minItems) {
    const elements = schema.minItems === 1 ? 'element' : 'elements';
    problems.push({ key: path, message: `This collection should contain ${schema.minItems} ${elements} or more.` });
  }
  const itemSchema = schema.items;
  if (itemSchema === undefined) return items;
  return items.map((item: unknown, i) => {
    const itemPath = `${path}[${i}]`;
    if (item === null || item === undefined) {
      if (itemSchema.type !== undefined) problems.push({ key: itemPath, message: 'This value should not be blank.' });
      return item;
    }
    return check(itemSchema, item, itemPath, problems);
  });
}

function checkObject(schema: Schema, value: unknown, path: string, problems: Problem[]): unknown {
  // PHP has one kind of container: an empty map arrives as [] (or, in a form, as an empty text).
  const source = (Array.isArray(value) && value.length === 0) || value === '' ? {} : value;
  if (typeof source !== 'object' || source === null || Array.isArray(source)) {
    problems.push({ key: path, message: 'This value should be of type object.' });
    return value;
  }
  const checked: Record<string, unknown> = {};
  const known = schema.properties ?? {};
  for (const [name, member] of Object.entries(source)) {
    if (name === '__proto__') continue;
    const memberSchema = Object.hasOwn(known, name) ? known[name] : otherMember(schema, name);
    if (memberSchema === undefined) {
      if (takesAnything(schema)) checked[name] = member;
    } else {
      const result = checkMember(memberSchema, member, path === '' ? name : `${path}[${name}]`, problems);
      if (result !== MISSING) checked[name] = result;
    }
  }
  for (const [name, memberSchema] of Object.entries(known)) {
    if (Object.hasOwn(checked, name)) continue;
    if (memberSchema.default !== undefined) checked[name] = structuredClone(memberSchema.default);
    else if (schema.required?.includes(name)) {
      const key = path === '' ? name : `${path}[${name}]`;
      if (!problems.some((problem) => problem.key === key)) problems.push({ key, message: 'This field is missing.' });
    }
  }
  return checked;
}

function takesAnything(schema: Schema): boolean {
  if (schema.additionalProperties !== undefined) return schema.additionalProperties === true;
  return schema.properties === undefined || Object.keys(schema.properties).length === 0;
}

function otherMember(schema: Schema, name: string): Schema | undefined {
  for (const [pattern, memberSchema] of Object.entries(schema.patternProperties ?? {})) {
    if (new RegExp(pattern, 'u').test(name)) return memberSchema;
  }
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

function checkMember(schema: Schema, value: unknown, path: string, problems: Problem[]): unknown {
  if (value === null || value === undefined) return MISSING;
  // `limit=` in a form or query is how people leave a number out.
  if (value === '' && (schema.type === 'integer' || schema.type === 'number')) return MISSING;
  return check(schema, value, path, problems);
}
