/**
 * SQL with values kept apart from the text: sql`select * from jobs where id = ${id}`.
 *
 * A nested fragment is spliced in, everything else becomes a numbered parameter. Names that come from data go through
 * `sql.name`; there is no way to splice unchecked text.
 */
export class Sql {
  readonly strings: readonly string[];
  readonly values: readonly unknown[];

  constructor(strings: readonly string[], values: readonly unknown[]) {
    this.strings = strings;
    this.values = values;
  }

  /** Text with $1, $2 ... and the values in that order, as `pg` wants them. */
  compile(): { text: string; values: unknown[] } {
    let text = this.strings[0] ?? '';
    for (let i = 0; i < this.values.length; i++) text += `$${i + 1}${this.strings[i + 1]}`;
    return { text, values: [...this.values] };
  }
}

function tag(strings: TemplateStringsArray, ...values: unknown[]): Sql {
  const flatStrings = [strings[0] ?? ''];
  const flatValues: unknown[] = [];
  values.forEach((value, i) => {
    const after = strings[i + 1] ?? '';
    if (value instanceof Sql) {
      flatStrings[flatStrings.length - 1] += value.strings[0] ?? '';
      value.values.forEach((inner, j) => {
        flatValues.push(inner);
        flatStrings.push(value.strings[j + 1] ?? '');
      });
      flatStrings[flatStrings.length - 1] += after;
    } else {
      flatValues.push(value);
      flatStrings.push(after);
    }
  });
  return new Sql(flatStrings, flatValues);
}

/** Quoted identifier parts joined by dots. */
function quotedName(...parts: string[]): Sql {
  for (const part of parts) if (part.includes('\0')) throw new Error('identifier with NUL byte');
  return new Sql([parts.map((part) => `"${part.replaceAll('"', '""')}"`).join('.')], []);
}

/** A text constant. Only for expressions that must read the same as in an index; values belong in parameters. */
function literal(text: string): Sql {
  if (text.includes('\0')) throw new Error('text with NUL byte');
  const quoted = text.replaceAll("'", "''");
  return new Sql([text.includes('\\') ? `E'${quoted.replaceAll('\\', '\\\\')}'` : `'${quoted}'`], []);
}

function join(fragments: readonly Sql[], separator: Sql = new Sql([', '], [])): Sql {
  if (fragments.length === 0) return empty;
  return fragments.reduce((joined, next) => tag`${joined}${separator}${next}`);
}

const empty = new Sql([''], []);

type SqlTag = {
  (strings: TemplateStringsArray, ...values: unknown[]): Sql;
  /** Quoted identifier parts joined by dots: sql.name('lake_1', 'ducklake_table'). */
  name(...parts: string[]): Sql;
  /** A quoted text constant, where a parameter would keep an index from being used. */
  literal(text: string): Sql;
  empty: Sql;
  /** Joins fragments; `separator` is a fragment too, a comma by default. */
  join(fragments: readonly Sql[], separator?: Sql): Sql;
};

// The name of a function can be redefined but not assigned.
export const sql = Object.defineProperties(tag, {
  name: { value: quotedName },
  literal: { value: literal },
  empty: { value: empty },
  join: { value: join },
}) as unknown as SqlTag;
