/**
 * The words of `ducklake_snapshot_changes.changes_made`, and who disturbs whom.
 *
 * The grammar is closed: one unknown word would make every later retry of every stock DuckLake client fail, so text
 * for this column is made only by `formatChanges`.
 */
export type LakeChange =
  | { kind: 'created_schema'; name: string }
  | { kind: 'created_table'; schema: string; name: string }
  | {
      kind:
        | 'dropped_schema'
        | 'dropped_table'
        | 'inserted_into_table'
        | 'deleted_from_table'
        | 'altered_table'
        | 'rewrite_delete';
      id: number;
    };

/** The order in which DuckLake's own extension writes the kinds. */
const ORDER: readonly LakeChange['kind'][] = [
  'dropped_schema',
  'dropped_table',
  'created_schema',
  'created_table',
  'inserted_into_table',
  'deleted_from_table',
  'altered_table',
  'rewrite_delete',
];

export function formatChanges(changes: readonly LakeChange[]): string {
  const words = [...changes]
    .sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
    .map((change) => {
      if (change.kind === 'created_schema') return `created_schema:${quote(change.name)}`;
      if (change.kind === 'created_table') return `created_table:${quote(change.schema)}.${quote(change.name)}`;
      return `${change.kind}:${change.id}`;
    });
  return [...new Set(words)].join(',');
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A change made by anybody, ours or a stock client's: more kinds than we write. */
export type ForeignChange = { kind: string; id?: number; names?: string[] };

/** Reads the grammar. Throws on what is not in it, because a change nobody understands cannot be called harmless. */
export function parseChanges(text: string | null): ForeignChange[] {
  const changes: ForeignChange[] = [];
  let rest = text ?? '';
  while (rest !== '') {
    const match = /^([a-z_]+):(?:(\d+)|((?:"(?:[^"]|"")*"\.?)+))(?:,|$)/.exec(rest);
    if (match?.[1] === undefined) throw new Error(`Unreadable DuckLake change: ${rest.slice(0, 200)}`);
    const [whole, kind, id, names] = match;
    if (id !== undefined) changes.push({ kind, id: Number(id) });
    else changes.push({ kind, names: splitQuoted(names ?? '') });
    rest = rest.slice(whole.length);
  }
  return changes;
}

function splitQuoted(text: string): string[] {
  return [...text.matchAll(/"((?:[^"]|"")*)"/g)].map((match) => (match[1] ?? '').replaceAll('""', '"'));
}

/** What one commit does to one table. */
export type TableIntent = { inserts: boolean; deletes: boolean; alters: boolean };

const COMPACTIONS = ['merge_adjacent', 'rewrite_delete', 'compacted_table'];

/** Kinds of change to the same table that a commit with this intent cannot be rebased over. */
function disturbances(intent: TableIntent): Set<string> {
  const kinds = new Set(['dropped_table']);
  if (intent.inserts) for (const kind of ['altered_table', 'deleted_from_table', 'inlined_delete']) kinds.add(kind);
  if (intent.alters) kinds.add('altered_table');
  // A delete names positions in files: any other writer of the table may have moved or hidden them. Two deletes could
  // be told apart by file, but two of ours never meet (the job lock), and with strangers a retry is cheap.
  if (intent.deletes) {
    for (const kind of [
      'altered_table',
      'inserted_into_table',
      'deleted_from_table',
      'inlined_insert',
      'inlined_delete',
      'inline_flush',
      'flushed_inlined',
      ...COMPACTIONS,
    ]) {
      kinds.add(kind);
    }
  }
  return kinds;
}

/** The first of their changes that ours cannot stand beside, or undefined when the commit may be rebased. */
export function findConflict(
  tableId: number,
  intent: TableIntent,
  theirs: readonly ForeignChange[],
): ForeignChange | undefined {
  const kinds = disturbances(intent);
  return theirs.find((change) => change.id === tableId && kinds.has(change.kind));
}
