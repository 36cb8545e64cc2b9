import type { EngineColumn, WriteRequest } from '../contract.ts';
import type { RequestConnection } from './connection.ts';
import { csvErrors, duckdbFault } from './errors.ts';
import { duckdbType, literal } from './sql.ts';

/**
 * From the texts of a source to the cells of a table. Typed cells are cast strictly while they are copied, which costs
 * nothing beside the copying; only when that fails are the rows read once more, to say which cell it was.
 */
export type SourceCell = {
  column: EngineColumn;
  /** The source's text, as SQL; undefined where the source has no such column. */
  text: string | undefined;
};

type Meaning = Pick<WriteRequest, 'timestamp' | 'nullText'>;

/** The timestamp of a row, where the source tells it. */
const TOLD_TIMESTAMP = { label: 'TIMESTAMP', nullable: false };

function typeOf({ column, text }: SourceCell, { timestamp }: Meaning): EngineColumn['typed'] {
  return column.fieldId === timestamp.fieldId && text !== undefined ? TOLD_TIMESTAMP : column.typed;
}

/** NULL for what stands for no value. An empty text is a value where there has to be one. */
function meantValue(cell: SourceCell, meaning: Meaning): string {
  const { column, text = 'NULL' } = cell;
  const nullText = meaning.nullText === undefined ? '' : meaning.nullText;
  if (nullText === null) return text;
  if (nullText === '' && column.type === 'varchar' && typeOf(cell, meaning)?.nullable === false) return text;
  return `nullif(${text}, ${literal(nullText)})`;
}

function castTo({ type }: EngineColumn, value: string, word: 'CAST' | 'TRY_CAST'): string {
  if (type === 'varchar') return value;
  return `${word}(${value} AS ${duckdbType(type)})`;
}

/** The cell of the table, as SQL. */
export function cellOf(cell: SourceCell, meaning: Meaning): string {
  const { column, text } = cell;
  const typed = typeOf(cell, meaning);
  if (typed === undefined) {
    if (text === undefined) return "''";
    const { nullText } = meaning;
    return nullText === undefined || nullText === null || nullText === ''
      ? text
      : `CASE WHEN ${text} = ${literal(nullText)} THEN '' ELSE ${text} END`;
  }
  if (text === undefined) {
    const value = typed.initialDefault === undefined ? 'NULL' : literal(typed.initialDefault);
    return `CAST(${value} AS ${duckdbType(column.type)})`;
  }
  const value = castTo(column, meantValue(cell, meaning), 'CAST');
  if (typed.maxLength === undefined) return value;
  return `CASE WHEN length(${value}) > ${typed.maxLength} THEN error('too long') ELSE ${value} END`;
}

/** Whether values of the source can be wrong. */
export function hasTypes(cells: SourceCell[], meaning: Meaning): boolean {
  return cells.some((cell) => cell.text !== undefined && typeOf(cell, meaning) !== undefined);
}

/** Whether a failed copy may have been about a value. */
export function isAboutValue(thrown: unknown): boolean {
  return duckdbFault(thrown).about === 'other';
}

type Place = { connection: RequestConnection; from: string; rowsBefore: number | undefined };

/** Throws for the first wrong value of the source, if there is one. */
export async function requireValues(place: Place, cells: SourceCell[], meaning: Meaning): Promise<void> {
  const { connection, from, rowsBefore } = place;
  const checked = cells.flatMap((cell) => {
    const typed = typeOf(cell, meaning);
    return cell.text === undefined || typed === undefined ? [] : [{ cell, typed, text: cell.text }];
  });
  const problems = checked.map(({ cell, typed }) => {
    const value = meantValue(cell, meaning);
    return [
      ...(typed.nullable ? [] : [`${value} IS NULL`]),
      ...(cell.column.type === 'varchar'
        ? []
        : [`(${value} IS NOT NULL AND ${castTo(cell.column, value, 'TRY_CAST')} IS NULL)`]),
      ...(typed.maxLength === undefined ? [] : [`length(${value}) > ${typed.maxLength}`]),
    ].join(' OR ');
  });
  const cases = (shown: (index: number) => string) =>
    problems.flatMap((problem, i) => (problem === '' ? [] : [`WHEN ${problem} THEN ${shown(i)}`])).join(' ');
  if (problems.every((problem) => problem === '')) return;
  const [found] = (await connection.rows(
    `SELECT n::DOUBLE, k::DOUBLE, v FROM (
       SELECT row_number() OVER () AS n, CASE ${cases(String)} END AS k,
         left(CASE ${cases((i) => checked[i]?.text ?? 'NULL')} END, 100) AS v FROM ${from})
     WHERE k IS NOT NULL ORDER BY n LIMIT 1`,
  )) as [number, number, string | null][];
  if (found === undefined) return;
  const [row, index, value] = found;
  const wrong = checked[index];
  if (wrong === undefined) return;
  throw csvErrors.invalidValue({
    row: rowsBefore === undefined ? undefined : row + rowsBefore,
    column: wrong.cell.column.name,
    type: wrong.typed.label,
    value,
    mustNotBeEmpty: !wrong.typed.nullable,
  });
}
