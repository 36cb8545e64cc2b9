/**
 * Other people's SQL as statements and tokens: enough to tell statements apart, what each of them does and which
 * table it changes. DuckDB parses every statement itself afterwards and the kind it finds is checked again, so what
 * this reading gets wrong can refuse a statement but not let one through.
 */
export type SqlToken = {
  /** `word` is upper case; `name` is a quoted identifier without its quotes; `other` is everything else. */
  kind: 'word' | 'name' | 'symbol' | 'other';
  text: string;
};

export type SqlStatement = { text: string; tokens: SqlToken[] };

const SPACE = /\s+/y;
const LINE_COMMENT = /--[^\n]*/y;
const WORD = /[\p{L}_][\p{L}\p{N}_$]*/uy;
const QUOTED_NAME = /"((?:[^"]|"")*)"/y;
const TEXT = /'(?:[^']|'')*'/y;
const ESCAPED_TEXT = /[eE]'(?:[^'\\]|\\[\s\S]|'')*'/y;
const DOLLAR_QUOTE = /\$([\p{L}_][\p{L}\p{N}_]*)?\$/uy;

function match(pattern: RegExp, sql: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(sql);
}

/** Block comments nest, as in PostgreSQL. */
function blockCommentEnd(sql: string, start: number): number {
  let depth = 0;
  let at = start;
  while (at < sql.length) {
    if (sql.startsWith('/*', at)) {
      depth += 1;
      at += 2;
    } else if (sql.startsWith('*/', at)) {
      depth -= 1;
      at += 2;
      if (depth === 0) return at;
    } else at += 1;
  }
  return at;
}

/** What begins at `at`: its end and, unless it is a space or a comment, its token. */
function next(sql: string, at: number): { end: number; token?: SqlToken } {
  const blank = match(SPACE, sql, at) ?? match(LINE_COMMENT, sql, at);
  if (blank !== null) return { end: at + blank[0].length };
  if (sql.startsWith('/*', at)) return { end: blockCommentEnd(sql, at) };
  const text = match(ESCAPED_TEXT, sql, at) ?? match(TEXT, sql, at);
  if (text !== null) return { end: at + text[0].length, token: { kind: 'other', text: text[0] } };
  const name = match(QUOTED_NAME, sql, at);
  if (name !== null) {
    return { end: at + name[0].length, token: { kind: 'name', text: name[1]!.replaceAll('""', '"') } };
  }
  const dollar = match(DOLLAR_QUOTE, sql, at);
  if (dollar !== null) {
    const close = sql.indexOf(dollar[0], at + dollar[0].length);
    const end = close === -1 ? sql.length : close + dollar[0].length;
    return { end, token: { kind: 'other', text: sql.slice(at, end) } };
  }
  const word = match(WORD, sql, at);
  if (word !== null) return { end: at + word[0].length, token: { kind: 'word', text: word[0].toUpperCase() } };
  return { end: at + 1, token: { kind: 'symbol', text: sql[at]! } };
}

export function splitStatements(sql: string): SqlStatement[] {
  const statements: SqlStatement[] = [];
  let start = 0;
  let tokens: SqlToken[] = [];
  const finish = (end: number) => {
    if (tokens.length > 0) statements.push({ text: sql.slice(start, end).trim(), tokens });
    tokens = [];
  };
  for (let at = 0; at < sql.length; ) {
    const { end, token } = next(sql, at);
    if (token?.kind === 'symbol' && token.text === ';') {
      finish(at);
      start = end;
    } else if (token !== undefined) tokens.push(token);
    at = end;
  }
  finish(sql.length);
  return statements;
}

export type StatementRole =
  /** Only shows rows: nobody sees them, so it is checked but not executed. */
  'query' | 'change' | 'refused';

const QUERIES = ['SELECT', 'FROM', 'VALUES', 'TABLE', 'DESCRIBE', 'SHOW', 'SUMMARIZE', 'PIVOT', 'UNPIVOT', 'DESC'];
const CHANGES = [
  'INSERT',
  'UPDATE',
  'DELETE',
  'TRUNCATE',
  'MERGE',
  'CREATE',
  'ALTER',
  'DROP',
  'COMMENT',
  'ANALYZE',
  'VACUUM',
  'BEGIN',
  'START',
  'COMMIT',
  'END',
  'ROLLBACK',
  'ABORT',
];

/** A list of what is allowed: everything else (COPY, ATTACH, LOAD, PRAGMA, CALL, EXPLAIN ...) is refused. */
export function statementRole({ tokens }: SqlStatement): StatementRole {
  const words = tokens.filter(({ text, kind }) => !(kind === 'symbol' && text === '('));
  const [first, second] = words;
  if (first?.kind !== 'word') return 'refused';
  if (first.text === 'WITH') return changedTables({ text: '', tokens }).length > 0 ? 'change' : 'query';
  if (QUERIES.includes(first.text)) return 'query';
  if (first.text === 'SET' || first.text === 'RESET') {
    return second?.kind === 'word' && second.text === 'VARIABLE' ? 'change' : 'refused';
  }
  if (first.text === 'CREATE' && words.slice(1, 5).some(({ kind, text }) => kind === 'word' && text === 'SECRET'))
    return 'refused';
  return CHANGES.includes(first.text) ? 'change' : 'refused';
}

/** Words that may stand between the verb and the name of the table. */
const BETWEEN = [
  'INTO',
  'FROM',
  'TABLE',
  'VIEW',
  'IF',
  'EXISTS',
  'NOT',
  'OR',
  'REPLACE',
  'IGNORE',
  'TEMP',
  'TEMPORARY',
  'ONLY',
  'RECURSIVE',
];
const VERBS = ['INSERT', 'UPDATE', 'DELETE', 'MERGE', 'ALTER', 'TRUNCATE', 'DROP', 'CREATE'];

export type ChangedTable = {
  verb: string;
  /** Last part of a qualified name, as written; upper case if it was not quoted. */
  name: string;
  isView: boolean;
};

/** Tables a statement changes or replaces, also inside a WITH. May name too many (harmless), never too few. */
export function changedTables({ tokens }: SqlStatement): ChangedTable[] {
  const changed: ChangedTable[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.kind !== 'word' || !VERBS.includes(token.text)) continue;
    let at = index + 1;
    let isView = false;
    while (tokens[at]?.kind === 'word' && BETWEEN.includes(tokens[at]!.text)) {
      isView ||= tokens[at]!.text === 'VIEW';
      at += 1;
    }
    let name = tokens[at];
    while (tokens[at + 1]?.text === '.' && tokens[at + 2] !== undefined) {
      at += 2;
      name = tokens[at];
    }
    if (name !== undefined && (name.kind === 'word' || name.kind === 'name'))
      changed.push({ verb: token.text, name: name.text, isView });
  }
  return changed;
}
