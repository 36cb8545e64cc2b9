/** SQL as people write it into a transformation, cut into statements. */

/**
 * The statements of a script without comments, in order. Semicolons and comment signs in quotes of any kind (single,
 * double, dollar) are text.
 */
export function splitStatements(script: string): string[] {
  const statements: string[] = [];
  let statement = '';
  let position = 0;
  while (position < script.length) {
    const token = tokenAt(script, position);
    position += token.length;
    if (token === ';') {
      statements.push(statement.trim());
      statement = '';
    } else if (token.startsWith('--') || token.startsWith('/*')) statement += ' ';
    else statement += token;
  }
  statements.push(statement.trim());
  return statements.filter((text) => text !== '');
}

const tokens = [
  /--[^\n]*/y,
  /\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/y,
  /[eE]'(?:[^'\\]|\\[\s\S]|'')*'?/y,
  /'(?:[^']|'')*'?/y,
  /"(?:[^"]|"")*"?/y,
  /[A-Za-z_0-9]+/y,
];

function tokenAt(script: string, position: number): string {
  if (script.startsWith('/*', position)) return blockComment(script, position);
  for (const token of tokens) {
    token.lastIndex = position;
    const match = token.exec(script);
    if (match) return match[0];
  }
  return script[position] as string;
}

/** Comments nest. */
function blockComment(script: string, start: number): string {
  let depth = 0;
  let position = start;
  do {
    if (script.startsWith('/*', position)) depth++;
    else if (script.startsWith('*/', position)) depth--;
    else {
      position++;
      continue;
    }
    position += 2;
  } while (depth > 0 && position < script.length);
  return script.slice(start, position);
}

/** A statement whose result nobody sees is not worth its time. */
export const isQuery = (statement: string) => /^select\b/i.test(statement);

const EXCERPT_SIDE = 500;

export function excerpt(statement: string): string {
  if (statement.length <= 2 * EXCERPT_SIDE) return statement;
  return `${statement.slice(0, EXCERPT_SIDE)}\n...\n${statement.slice(-EXCERPT_SIDE)}`;
}
