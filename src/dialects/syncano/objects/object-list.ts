import type { FastifyRequest } from 'fastify';
import type { ObjectClass } from '../../../core/objects/class-model.ts';
import { readDatetime, ValueProblem } from '../../../core/objects/field-values.ts';
import { objectErrors } from '../../../core/objects/object-errors.ts';
import type { ObjectQuery } from '../../../core/objects/object-model.ts';
import type { Order } from '../../../lib/filter.ts';
import { type Query, queryText } from '../deps.ts';
import { numericCursor, type Page, type Place } from '../paging.ts';
import { orderField, parseQuery, type ResolveClass } from './object-query.ts';

/** What a list call asks for: filter, order and place. Reads the class only when one of them needs it. */
export async function parseObjectQuery(
  request: FastifyRequest,
  page: Page,
  className: string,
  resolve: ResolveClass,
): Promise<ObjectQuery> {
  const { query } = request.query as Query;
  const texts = (Array.isArray(query) ? query : [query ?? '']).filter((text) => text !== '');
  const orderText = queryText(request, 'order_by');
  const order = parseOrder(orderText) ?? (page.isDescending ? { field: 'id', direction: 'desc' as const } : undefined);
  const of = texts.length > 0 || order ? await resolve(className) : undefined;
  if (of && order) orderField(order.field, of);
  const id = numericCursor(page);
  if (orderText !== undefined) {
    // Ordered lists say so instead of the general ordering.
    page.carried = [...page.carried.filter(([name]) => name !== 'ordering'), ['order_by', orderText]];
  }
  return {
    filter: of && (await parseQuery(texts, of, resolve)),
    order,
    limit: page.size,
    back: page.direction === 'back',
    cursor: id === undefined ? undefined : { id, value: order && of ? cursorValue(page.lastValue, order, of) : null },
  };
}

function parseOrder(text: string | undefined): Order | undefined {
  if (text === undefined) return undefined;
  const match = /^(-?)(\w{1,64})$/.exec(text);
  if (!match) throw objectErrors.order('Incorrect order_by parameter provided.');
  return { field: match[2] ?? '', direction: match[1] === '-' ? 'desc' : 'asc' };
}

/** The value in the link of a page, checked before the database meets it. */
function cursorValue(text: string | undefined, { field: name }: Order, of: ObjectClass): string | null {
  const field = orderField(name, of);
  if (text === undefined || name === 'id') return null;
  const type = field === 'own' ? 'datetime' : field.type;
  if (text.includes('\0')) throw objectErrors.page();
  try {
    if (type === 'datetime') return readDatetime(text);
  } catch (error) {
    throw error instanceof ValueProblem ? objectErrors.page() : error;
  }
  const isRight =
    type === 'string' ||
    (type === 'boolean' && /^(true|false)$/.test(text)) ||
    (type === 'reference' && /^\d{1,15}$/.test(text)) ||
    ((type === 'integer' || type === 'float') && text.length < 1000 && text !== '' && Number.isFinite(Number(text)));
  if (!isRight) throw objectErrors.page();
  return type === 'integer' || type === 'float' ? String(Number(text)) : text;
}

/** Where an object stands in the list, for the links to its neighbours. */
export function placeOf(document: string, id: number, order: Order | undefined): Place {
  if (!order || order.field === 'id') return { pk: String(id) };
  const value = (JSON.parse(document) as Record<string, unknown>)[order.field];
  const inner = typeof value === 'object' && value !== null ? (value as { value?: unknown }).value : value;
  return inner === null || inner === undefined ? { pk: String(id) } : { pk: String(id), value: String(inner) };
}
