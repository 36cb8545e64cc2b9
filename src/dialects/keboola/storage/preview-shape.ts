/** JSON cells are cut here; CSV cells are whole. */
const MAX_CELL = 16_384;

/** As much of a cell as has to be read for JSON: one character more tells that it was cut. */
export const JSON_CELL_CHARACTERS = MAX_CELL + 1;

type Cell = string | null;

/** Header and rows, every field quoted. */
export function toCsvPreview(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [columns, ...rows].map((row) => `${row.map(quote).join(',')}\n`).join('');
}

export function toJsonPreview(columns: readonly string[], rows: readonly (readonly Cell[])[]): object {
  return {
    columns,
    rows: rows.map((row) =>
      row.map((value, i) => ({
        columnName: columns[i],
        value: value !== null && value.length > MAX_CELL ? value.slice(0, MAX_CELL) : value,
        isTruncated: value !== null && value.length > MAX_CELL,
      })),
    ),
  };
}

function quote(value: Cell): string {
  return `"${(value ?? '').replaceAll('"', '""')}"`;
}
