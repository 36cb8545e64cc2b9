import type { Filter } from './filter.ts';

/**
 * The search syntax of listings, the useful part of Lucene's: `id:12`, `name:foo*`, `tags:"a b" AND NOT name:x`,
 * `+tags:a -tags:b`, `created:[2024-01-01 TO *]`, `size:>100`, `tags:(a OR b)`, free text.
 *
 * OR binds weaker than terms that just follow each other, and those weaker than AND. Among terms that follow each
 * other at least one has to match; with a `+` on some, exactly those have to; those with a `-` must not.
 */
export type QueryFilter =
  | Filter
  | { all: QueryFilter[] }
  | { any: QueryFilter[] }
  | { not: QueryFilter }
  /** Case-insensitive match of the whole value; `*` stands for any text, `?` for one character, `\` takes the next as it is. */
  | { field: string; matches: string };

/**
 * `text`: a bare word matches anywhere in the value. `keyword`: the whole value. `number`, `boolean` and `date` (its
 * values come out as ISO texts) are checked.
 */
export type QueryFieldType = 'text' | 'keyword' | 'number' | 'boolean' | 'date';

export type QueryFields = {
  /** Name in the query -> type, and the name in the filter where that differs. */
  fields: Record<string, QueryFieldType | { type: QueryFieldType; field: string }>;
  /** The field of terms without one. */
  freeText: string;
};

/** What is wrong with a query, for its author. */
export class QuerySyntaxError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'QuerySyntaxError';
  }
}

const MAX_LENGTH = 8192;
const MAX_DEPTH = 20;
const MAX_TERMS = 500;

/** The query as a filter tree; an empty query is undefined. Throws QuerySyntaxError. */
export function parseQueryString(text: string, fields: QueryFields): QueryFilter | undefined {
  if (text.length > MAX_LENGTH) throw new QuerySyntaxError(`The query is longer than ${MAX_LENGTH} characters.`);
  const tokens = tokenize(text);
  if (tokens.length === 0) return undefined;
  const parser = new Parser(tokens, fields);
  const filter = parser.parseOr(0);
  parser.expectEnd();
  return filter;
}

type Token =
  /** `raw` keeps the backslashes, since `\*` is no wildcard. */
  | { kind: 'word'; raw: string }
  | { kind: 'phrase'; text: string }
  | { kind: 'field'; name: string }
  | { kind: 'sign'; sign: '+' | '-' }
  | { kind: 'compare'; op: 'gt' | 'ge' | 'lt' | 'le' }
  | { kind: 'range'; includesLow: boolean; includesHigh: boolean; low: string; high: string }
  | { kind: 'AND' | 'OR' | 'NOT' | '(' | ')' };

const OPERATORS: Record<string, Token> = {
  AND: { kind: 'AND' },
  OR: { kind: 'OR' },
  NOT: { kind: 'NOT' },
  '&&': { kind: 'AND' },
  '||': { kind: 'OR' },
  '!': { kind: 'NOT' },
};

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    at += match[0].length;
    return match;
  };
  while (at < text.length) {
    if (take(/\s+/y)) continue;
    const bracket = take(/[()]/y);
    if (bracket) {
      tokens.push({ kind: bracket[0] as '(' | ')' });
      continue;
    }
    const operator = take(/&&|\|\||!/y);
    if (operator) {
      tokens.push(OPERATORS[operator[0]] as Token);
      continue;
    }
    // Only in front of something: a lone minus is a word.
    const sign = take(/[+-](?=\S)/y);
    if (sign) {
      tokens.push({ kind: 'sign', sign: sign[0] as '+' | '-' });
      continue;
    }
    const phrase = take(/"((?:[^"\\]|\\[\s\S])*)"/y);
    if (phrase) {
      tokens.push({ kind: 'phrase', text: withoutBackslashes(phrase[1] ?? '') });
      continue;
    }
    if (text[at] === '"') throw new QuerySyntaxError('A quotation mark is not closed.');
    const field = take(/([A-Za-z_][\w.]*):/y);
    if (field) {
      tokens.push({ kind: 'field', name: field[1] ?? '' });
      const range = take(/\s*([[{])\s*("[^"]*"|\S+)\s+TO\s+("[^"]*"|[^\s\]}]+)\s*([\]}])/y);
      if (range) {
        tokens.push({
          kind: 'range',
          includesLow: range[1] === '[',
          includesHigh: range[4] === ']',
          low: unquote(range[2] ?? ''),
          high: unquote(range[3] ?? ''),
        });
        continue;
      }
      const compare = take(/\s*(>=|<=|>|<)/y)?.[1];
      if (compare) {
        const op = ({ '>': 'gt', '>=': 'ge', '<': 'lt', '<=': 'le' } as const)[compare as '>' | '>=' | '<' | '<='];
        tokens.push({ kind: 'compare', op });
      }
      continue;
    }
    const word = take(/(?:[^\s()"\\]|\\[\s\S])+/y);
    if (!word) throw new QuerySyntaxError(`Unexpected "${text.slice(at, at + 10)}".`);
    tokens.push(Object.hasOwn(OPERATORS, word[0]) ? (OPERATORS[word[0]] as Token) : { kind: 'word', raw: word[0] });
  }
  return tokens;
}

class Parser {
  readonly #tokens: Token[];
  readonly #fields: QueryFields;
  #at = 0;
  #terms = 0;

  constructor(tokens: Token[], fields: QueryFields) {
    this.#tokens = tokens;
    this.#fields = fields;
  }

  expectEnd(): void {
    if (this.#at < this.#tokens.length) throw new QuerySyntaxError('A closing bracket has no opening one.');
  }

  parseOr(depth: number, field?: string): QueryFilter {
    if (depth > MAX_DEPTH) throw new QuerySyntaxError('The query is nested too deeply.');
    const choices = [this.#parseSequence(depth, field)];
    while (this.#takeKind('OR')) choices.push(this.#parseSequence(depth, field));
    return choices.length === 1 ? (choices[0] as QueryFilter) : { any: choices };
  }

  #parseSequence(depth: number, field: string | undefined): QueryFilter {
    const required: QueryFilter[] = [];
    const optional: QueryFilter[] = [];
    const prohibited: QueryFilter[] = [];
    do {
      const { sign, filter } = this.#parseAnd(depth, field);
      if (sign === '+') required.push(filter);
      else if (sign === '-') prohibited.push({ not: filter });
      else optional.push(filter);
    } while (this.#startsTerm());
    const chosen = required.length > 0 ? required : optional.length > 1 ? [{ any: optional }] : optional;
    const parts = [...chosen, ...prohibited];
    return parts.length === 1 ? (parts[0] as QueryFilter) : { all: parts };
  }

  #parseAnd(depth: number, field: string | undefined): { sign: '+' | '-' | undefined; filter: QueryFilter } {
    const first = this.#parseSigned(depth, field);
    if (this.#peek()?.kind !== 'AND') return first;
    const parts = [first];
    while (this.#takeKind('AND')) parts.push(this.#parseSigned(depth, field));
    const all = parts.map(({ sign, filter }) => (sign === '-' ? { not: filter } : filter));
    return { sign: undefined, filter: { all } };
  }

  #parseSigned(depth: number, field: string | undefined): { sign: '+' | '-' | undefined; filter: QueryFilter } {
    const token = this.#peek();
    if (token?.kind === 'sign') {
      this.#at++;
      return { sign: token.sign, filter: this.#parseTerm(depth, field) };
    }
    let negations = 0;
    while (this.#takeKind('NOT')) negations++;
    const filter = this.#parseTerm(depth, field);
    return { sign: negations % 2 === 1 ? '-' : undefined, filter };
  }

  #parseTerm(depth: number, outerField: string | undefined): QueryFilter {
    let field = outerField;
    let token = this.#next();
    if (token.kind === 'field') {
      field = token.name;
      token = this.#next();
    }
    if (token.kind === '(') {
      const inner = this.parseOr(depth + 1, field);
      if (!this.#takeKind(')')) throw new QuerySyntaxError('An opening bracket is not closed.');
      return inner;
    }
    if (++this.#terms > MAX_TERMS) throw new QuerySyntaxError(`The query has more than ${MAX_TERMS} terms.`);
    switch (token.kind) {
      case 'word':
        return this.#wordFilter(field, token.raw);
      case 'phrase':
        return this.#valueFilter(field, token.text);
      case 'range':
        return this.#rangeFilter(field, token);
      case 'compare': {
        const value = this.#next();
        if (value.kind !== 'word' && value.kind !== 'phrase') throw new QuerySyntaxError('A comparison has no value.');
        return this.#comparison(field, token.op, value.kind === 'word' ? withoutBackslashes(value.raw) : value.text);
      }
      default:
        throw new QuerySyntaxError(`Unexpected "${token.kind === 'sign' ? token.sign : describe(token)}".`);
    }
  }

  #wordFilter(name: string | undefined, raw: string): QueryFilter {
    const { field, type } = this.#field(name);
    if (raw === '*') return { all: [] };
    const hasWildcard = /(^|[^\\])(\\\\)*[*?]/.test(raw);
    if (!hasWildcard || (type !== 'text' && type !== 'keyword'))
      return this.#valueFilter(name, withoutBackslashes(raw));
    return { field, matches: raw };
  }

  #valueFilter(name: string | undefined, text: string): QueryFilter {
    const { field, type } = this.#field(name);
    if (type === 'text') return { field, contains: text };
    return { field, op: 'eq', values: [toValue(type, field, text)] };
  }

  #rangeFilter(name: string | undefined, range: Token & { kind: 'range' }): QueryFilter {
    const bounds: QueryFilter[] = [];
    if (range.low !== '*') bounds.push(this.#comparison(name, range.includesLow ? 'ge' : 'gt', range.low));
    if (range.high !== '*') bounds.push(this.#comparison(name, range.includesHigh ? 'le' : 'lt', range.high));
    return { all: bounds };
  }

  #comparison(name: string | undefined, op: 'gt' | 'ge' | 'lt' | 'le', text: string): QueryFilter {
    const { field, type } = this.#field(name);
    return { field, op, values: [toValue(type, field, text)] };
  }

  #field(name: string | undefined): { field: string; type: QueryFieldType } {
    const asked = name ?? this.#fields.freeText;
    const found = Object.hasOwn(this.#fields.fields, asked) ? this.#fields.fields[asked] : undefined;
    if (found === undefined) {
      const known = Object.keys(this.#fields.fields).join(', ');
      throw new QuerySyntaxError(`There is no field "${asked}" to search in. Fields are: ${known}.`);
    }
    return typeof found === 'string' ? { field: asked, type: found } : found;
  }

  #startsTerm(): boolean {
    const kind = this.#peek()?.kind;
    return kind !== undefined && kind !== 'AND' && kind !== 'OR' && kind !== ')';
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #next(): Token {
    const token = this.#tokens[this.#at++];
    if (!token) throw new QuerySyntaxError('The query ends where a term is expected.');
    return token;
  }

  #takeKind(kind: Token['kind']): boolean {
    if (this.#peek()?.kind !== kind) return false;
    this.#at++;
    return true;
  }
}

function toValue(type: QueryFieldType, field: string, text: string): string | number | boolean {
  if (type === 'number') {
    const number = Number(text);
    if (text.trim() === '' || !Number.isFinite(number))
      throw new QuerySyntaxError(`"${text}" is no number (${field}).`);
    return number;
  }
  if (type === 'boolean') {
    if (!/^(true|false|1|0)$/i.test(text))
      throw new QuerySyntaxError(`"${text}" is neither true nor false (${field}).`);
    return /^(true|1)$/i.test(text);
  }
  if (type === 'date') {
    const date = /^\d{4}(-\d{2}(-\d{2}.*)?)?$/.test(text) ? new Date(text) : new Date(Number.NaN);
    if (Number.isNaN(date.getTime())) throw new QuerySyntaxError(`"${text}" is no date (${field}).`);
    return date.toISOString();
  }
  return text;
}

function withoutBackslashes(text: string): string {
  return text.replace(/\\([\s\S])/g, '$1');
}

function unquote(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1) : text;
}

function describe(token: Token): string {
  return token.kind === 'field' ? `${token.name}:` : token.kind;
}
