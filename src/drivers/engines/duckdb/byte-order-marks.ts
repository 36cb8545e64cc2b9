/**
 * Imported before DuckDB's binding, in the processes that load it: the binding decodes texts with a `TextDecoder` as it
 * comes, which takes U+FEFF at the start of a value for a byte order mark and drops it. A value is a value, and a bound
 * in the statistics that lost its first character would hide rows.
 */
globalThis.TextDecoder = class extends TextDecoder {
  constructor(label?: string, options?: ConstructorParameters<typeof TextDecoder>[1]) {
    super(label, { ignoreBOM: true, ...options });
  }
};
