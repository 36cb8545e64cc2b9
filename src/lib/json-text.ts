/**
 * JSON that must come back as it was written. A parsed object forgets the order of integer-like keys, `1.0` and
 * numbers beyond 2^53, and Keboola's clients compare configurations as text: so these are kept, changed and answered
 * as text, and parsed only where somebody reads them.
 */
import type { Json } from './json.ts';

/** Deeper texts than this would overflow the stack of whoever walks them recursively. */
const MAX_DEPTH = 256;

const QUOTE = 34;
const BACKSLASH = 92;
const PUNCTUATION = new Set('{}[]:,');
const SPACE = new Set(' \t\r\n');

/** A JSON text inside a value that is about to be serialised. With plain JSON.stringify it is parsed first. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  parse(): Json {
    return JSON.parse(this.text);
  }

  toJSON(): Json {
    if (!collected) return this.parse();
    return `${marker}${collected.push(this.text) - 1}`;
  }
}

// Unguessable, so that no text of a user is ever mistaken for a place to splice at.
const marker = `raw:${crypto.randomUUID()}:`;
const placeholder = new RegExp(`"${marker}(\\d+)"`, 'g');
let collected: string[] | undefined;

/** JSON.stringify that answers every RawJson with its own text, byte for byte. */
export function stringifyJson(value: unknown): string {
  const outer = collected;
  const texts: string[] = [];
  collected = texts;
  try {
    const json = JSON.stringify(value);
    return texts.length === 0 ? json : json.replace(placeholder, (_, index) => texts[Number(index)] ?? 'null');
  } finally {
    collected = outer;
  }
}

/** The same JSON without insignificant white space. Throws a SyntaxError for anything that is not JSON. */
export function compactJson(text: string): string {
  JSON.parse(text);
  let compact = '';
  let copied = 0;
  let position = 0;
  scan(text, (start, end, depth) => {
    if (depth > MAX_DEPTH) throw new SyntaxError(`JSON is nested deeper than ${MAX_DEPTH} levels`);
    if (start !== position) {
      compact += text.slice(copied, position);
      copied = start;
    }
    position = end;
  });
  return compact + text.slice(copied, position);
}

/** The texts of the members of a JSON object, by key; undefined when the text is another JSON value. */
export function jsonMembers(text: string): Map<string, string> | undefined {
  const members = new Map<string, string>();
  let isObject: boolean | undefined;
  let key: string | undefined;
  let valueStart = -1;
  scan(text, (start, end, depth) => {
    const first = text[start];
    isObject ??= first === '{';
    if (depth === 1 && first === ':') valueStart = end;
    else if (depth === 1 && valueStart < 0 && first === '"') key = JSON.parse(text.slice(start, end));
    else if (
      valueStart >= 0 &&
      key !== undefined &&
      ((depth === 1 && first === ',') || (depth === 0 && first === '}'))
    ) {
      members.set(key, text.slice(valueStart, start).trim());
      valueStart = -1;
    }
  });
  return isObject ? members : undefined;
}

/** The texts of the elements of a JSON list; undefined when the text is another JSON value. */
export function jsonElements(text: string): string[] | undefined {
  const elements: string[] = [];
  let isList: boolean | undefined;
  let elementStart = -1;
  scan(text, (start, end, depth) => {
    const first = text[start];
    isList ??= first === '[';
    if (elementStart < 0) elementStart = end;
    else if ((depth === 1 && first === ',') || (depth === 0 && first === ']')) {
      const element = text.slice(elementStart, start).trim();
      if (element !== '') elements.push(element);
      elementStart = end;
    }
  });
  return isList ? elements : undefined;
}

/** Replaces strings, numbers, booleans and nulls that are members of an object; `replace` gets and gives JSON texts. */
export function replaceScalars(text: string, replace: (key: string, value: string) => string): string {
  let result = '';
  let copied = 0;
  let lastString = '';
  let key: string | undefined;
  scan(text, (start, end) => {
    const token = text[start] as string;
    if (token === ':') {
      key = JSON.parse(lastString);
      return;
    }
    if (key !== undefined && !PUNCTUATION.has(token)) {
      const value = text.slice(start, end);
      const replaced = replace(key, value);
      if (replaced !== value) {
        result += text.slice(copied, start) + replaced;
        copied = end;
      }
    }
    key = undefined;
    if (token === '"') lastString = text.slice(start, end);
  });
  return result + text.slice(copied);
}

/**
 * Visits the tokens of a valid JSON text: strings, numbers and words whole, punctuation one by one. The depth is that
 * of the token's surroundings: brackets have the depth outside of them.
 */
function scan(text: string, visit: (start: number, end: number, depth: number) => void): void {
  let depth = 0;
  let position = 0;
  while (position < text.length) {
    const start = position;
    const first = text[position++] as string;
    if (SPACE.has(first)) continue;
    if (first === '"') {
      for (;;) {
        const code = text.charCodeAt(position++);
        if (code === BACKSLASH) position++;
        else if (code === QUOTE) break;
      }
    } else if (!PUNCTUATION.has(first)) {
      while (position < text.length && !PUNCTUATION.has(text[position]!) && !SPACE.has(text[position]!)) position++;
    }
    if (first === '}' || first === ']') depth--;
    visit(start, position, depth);
    if (first === '{' || first === '[') depth++;
  }
}
