/**
 * Names of buckets, tables and columns: what is allowed, and how the free text of a CSV header becomes a column name.
 * Everything here is pure.
 */
import { tableErrors } from './table-errors.ts';

const MAX_COLUMN_NAME = 64;
const MAX_OBJECT_NAME = 96;

/** The column every table has and nobody sees: when the row was last written. */
export const TIMESTAMP_COLUMN = '_timestamp';

/** Names that older backends could not store. Clients count on the trailing underscore they get. */
const SYSTEM_COLUMNS = new Set(['oid', 'tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']);

/** Letters that Unicode does not decompose into a base letter and a mark. */
const LETTERS = new Map(
  [
    'ß ss ẞ SS æ ae Æ AE œ oe Œ OE ø o Ø O đ d Đ D ð d Ð D þ th Þ TH ł l Ł L ħ h Ħ H ı i ŋ n Ŋ N ŧ t Ŧ T ſ s',
    'а a б b в v г g ґ g д d е e є e ж z з z и i і i к k л l м m н n о o п p р r с s т t у u ф f х h ц c ч c ш s щ s',
    'ы y э e ю u я a',
    'α a β v γ g δ d ε e ζ z η i θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y φ f χ ch ψ ps ω o',
  ].flatMap((line) =>
    [...line.matchAll(/(\S+) (\S+)/g)].map(([, letter = '', latin = '']) => [letter, latin] as const),
  ),
);
/** The Cyrillic signs that only soften or harden. */
for (const sign of 'ъь') LETTERS.set(sign, '');

/** Text in plain Latin letters where a letter has a common spelling, other characters as they are. */
export function transliterate(text: string): string {
  const bare = text.normalize('NFKD').replace(/\p{M}+/gu, '');
  let plain = '';
  for (const letter of bare) {
    const known = LETTERS.get(letter);
    const lower = known === undefined ? LETTERS.get(letter.toLowerCase()) : undefined;
    plain += known ?? (lower === undefined ? letter : lower.charAt(0).toUpperCase() + lower.slice(1));
  }
  return plain;
}

/** A column name out of any text; may come out empty or too long, which `requireColumnName` refuses. */
export function toColumnName(text: string): string {
  const name = transliterate(text)
    .replace(/[^A-Za-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
  return SYSTEM_COLUMNS.has(name.toLowerCase()) ? `${name}_` : name;
}

/** Column names for a header or a list of columns: each valid, none twice. */
export function requireColumnNames(texts: readonly string[]): string[] {
  const names = texts.map((text) => {
    const name = toColumnName(text);
    if (name === '' || name.length > MAX_COLUMN_NAME) throw tableErrors.invalidColumnName(text);
    return name;
  });
  const duplicates = [...new Set(names.filter((name, i) => names.indexOf(name) !== i))];
  if (duplicates.length > 0) throw tableErrors.duplicateColumns(duplicates);
  return names;
}

/** `in.c-main` from stage and the submitted name; a name that has the prefix keeps it as it is. */
export function toBucketName(submitted: string): string {
  return submitted.startsWith('c-') ? submitted : `c-${submitted}`;
}

export function requireBucketName(name: string): void {
  if (name === '') throw tableErrors.invalidBucket('Bucket create option "name" is required and cannot be empty.');
  if (!/^[A-Za-z0-9_-]+$/.test(name)) {
    throw tableErrors.invalidBucket(
      `Invalid data - name: '${name}' contains not allowed characters. Only alphanumeric characters dash and underscores are allowed.`,
    );
  }
  if (name.length > MAX_OBJECT_NAME) {
    throw tableErrors.invalidBucket(`Invalid data - name: '${name}' is more than ${MAX_OBJECT_NAME} characters long.`);
  }
}

export function requireBucketDisplayName(name: string): void {
  const problem = displayNameProblem(name);
  if (problem !== undefined) throw tableErrors.invalidBucket(problem);
}

export function requireTableName(name: string): void {
  if (name === '') throw tableErrors.invalid('Table create option "name" is required and cannot be empty.');
  if (!/^[A-Za-z0-9_-]+$/.test(name)) {
    throw tableErrors.invalid(
      `Invalid table name: '${name}' contains not allowed characters. Only alphanumeric characters dash and underscores are allowed.`,
    );
  }
  if (name.length > MAX_OBJECT_NAME) {
    throw tableErrors.invalid(`Invalid table name: '${name}' is more than ${MAX_OBJECT_NAME} characters long.`);
  }
}

export function requireTableDisplayName(name: string): void {
  const problem = name.startsWith('_')
    ? `Invalid data - displayName: '${name}' contains not allowed characters. Cannot start with underscore.`
    : displayNameProblem(name);
  if (problem !== undefined) throw tableErrors.invalid(problem);
}

function displayNameProblem(name: string): string | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(name)) {
    return `Invalid data - displayName: '${name}' contains not allowed characters. Only alphanumeric characters dash and underscores are allowed.`;
  }
  if (name.length > MAX_OBJECT_NAME)
    return `Invalid data - displayName: '${name}' is more than ${MAX_OBJECT_NAME} characters long.`;
  return undefined;
}

/** Bucket id and table name of `in.c-main.users`; undefined for anything that is not three parts. */
export function splitTableId(id: string): { bucketId: string; name: string } | undefined {
  const parts = id.split('.');
  if (parts.length !== 3 || parts.some((part) => part === '')) return undefined;
  return { bucketId: `${parts[0]}.${parts[1]}`, name: parts[2] ?? '' };
}

/**
 * A name for the lake, where names that differ only by case are the same name: the real one, or the real one with a
 * number when it is taken. `taken` holds lower-case names and gets the new one.
 */
export function claimLakeName(name: string, taken: Set<string>): string {
  let candidate = name;
  for (let i = 2; taken.has(candidate.toLowerCase()); i++) candidate = `${name}__${i}`;
  taken.add(candidate.toLowerCase());
  return candidate;
}
