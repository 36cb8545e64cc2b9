import type { FastifyRequest } from 'fastify';
import { objectErrors } from '../../core/objects/object-errors.ts';
import type { KeysetPage } from '../../lib/filter.ts';
import { type Query, queryText } from './deps.ts';

const MAX_PAGE_SIZE = 100;

/** The page a list call asks for. */
export type Page = {
  size: number;
  /** As it was asked for; links carry it on. */
  askedSize: string | undefined;
  direction: 'forward' | 'back' | undefined;
  lastPk: string | undefined;
  /** Of lists ordered by a field. An empty text is a value. */
  lastValue: string | undefined;
  isDescending: boolean;
  /** What the links carry on besides. */
  carried: [string, string][];
};

/** `isDescending`: the order where the call asks for none. */
export function parsePage(request: FastifyRequest, { isDescending = false } = {}): Page {
  const sizeText = queryText(request, 'page_size');
  if (sizeText !== undefined && !/^\d{1,9}$/.test(sizeText)) throw objectErrors.page();
  const size = sizeText === undefined ? MAX_PAGE_SIZE : Math.min(Number(sizeText), MAX_PAGE_SIZE);
  const directionText = queryText(request, 'direction');
  if (directionText !== undefined && directionText !== '0' && directionText !== '1') throw objectErrors.page();
  const ordering = queryText(request, 'ordering')?.toLowerCase();
  if (ordering !== undefined && ordering !== 'asc' && ordering !== 'desc')
    throw objectErrors.order('Incorrect order_by parameter provided.');
  const lastValue = (request.query as Query).last_value;
  return {
    size,
    askedSize: sizeText,
    direction: directionText === undefined ? undefined : directionText === '1' ? 'forward' : 'back',
    lastPk: queryText(request, 'last_pk'),
    lastValue: Array.isArray(lastValue) ? lastValue[0] : lastValue,
    isDescending: ordering === undefined ? isDescending : ordering === 'desc',
    carried: [
      ...(sizeText === undefined ? [] : [['page_size', String(size)] as [string, string]]),
      ...(ordering === undefined ? [] : [['ordering', ordering] as [string, string]]),
    ],
  };
}

/** A cursor that is a number, such as an object's id. */
export function numericCursor({ lastPk }: Page): number | undefined {
  if (lastPk === undefined) return undefined;
  if (!/^\d{1,15}$/.test(lastPk)) throw objectErrors.page();
  return Number(lastPk);
}

/** The page in the core's words, of lists whose key is a number. */
export function numericPage(page: Page): KeysetPage<number> {
  return { ...keyedPage(page), after: numericCursor(page) };
}

/** The same of lists whose key is a name. */
export function namedPage(page: Page): KeysetPage<string> {
  return { ...keyedPage(page), after: page.lastPk };
}

function keyedPage({ size, direction, isDescending }: Page) {
  return { limit: size, back: direction === 'back', isDescending };
}

/** Where a row stands in the order of its list. */
export type Place = { pk: string; value?: string | undefined };

/** The body of a list, of rows that are JSON texts already. */
export function pageText(
  path: string,
  page: Page,
  rows: readonly string[],
  placeOf: (at: number) => Place,
  objectsCount?: number,
): string {
  const { next, prev } = pageLinks(path, page, rows.length, placeOf);
  const count = objectsCount === undefined ? '' : `,"objects_count":${objectsCount}`;
  return `{"next":${JSON.stringify(next)},"prev":${JSON.stringify(prev)},"objects":[${rows.join(',')}]${count}}`;
}

/**
 * A page that came back full may have another behind it. Who goes back beyond the first row is sent to the first page,
 * who goes on beyond the last row to the last one.
 */
function pageLinks(
  path: string,
  page: Page,
  count: number,
  placeOf: (at: number) => Place,
): { next: string | null; prev: string | null } {
  const link = (direction?: '0' | '1', place?: Place) => {
    const parameters = new URLSearchParams(page.carried);
    if (direction) parameters.append('direction', direction);
    if (place) parameters.append('last_pk', place.pk);
    if (place?.value !== undefined) parameters.append('last_value', place.value);
    const text = parameters.toString();
    return text === '' ? path : `${path}?${text}`;
  };
  if (page.size === 0) return { next: null, prev: null };
  const isFull = count === page.size;
  let next: string | null = null;
  if (isFull) next = link('1', placeOf(count - 1));
  else if (page.direction === 'back') next = link();
  let prev: string | null = null;
  if (page.direction !== undefined) {
    if (count === 0) prev = page.direction === 'forward' ? link('0') : null;
    else if (page.direction === 'forward' || isFull) prev = link('0', placeOf(0));
  }
  return { next, prev };
}
