import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { AirbyteDeps } from './deps.ts';

/** Query members of every list that comes in pages. */
export const pageQuery = {
  workspaceIds: Type.Optional(Type.Any({ description: 'Workspaces, repeated or separated by commas' })),
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
  offset: Type.Integer({ minimum: 0, maximum: 2 ** 31, default: 0 }),
};

/** All values of a parameter, however the client spells a list: `a=1&a=2`, `a=1,2`, `a[]=1`. */
export function queryList(request: FastifyRequest, name: string): string[] {
  const query = new URLSearchParams(request.url.split('?')[1] ?? '');
  return [...query.getAll(name), ...query.getAll(`${name}[]`)]
    .flatMap((text) => text.split(','))
    .filter((text) => text !== '');
}

/**
 * A page with links to those beside it. `items` has one more than the page where there is a next one: unlike the
 * original, whose last page still names a next one, so that every walk ends with an empty page.
 */
export function toPage<Item>(
  request: FastifyRequest,
  { scheme }: Pick<AirbyteDeps, 'scheme'>,
  items: readonly Item[],
  shape: (item: Item) => object,
): { data: object[]; previous: string; next: string } {
  const { limit, offset } = request.query as { limit: number; offset: number };
  const [path = '', search] = request.url.split('?');
  const link = (to: number) => {
    const query = new URLSearchParams(search ?? '');
    query.set('limit', String(limit));
    query.set('offset', String(to));
    return `${scheme}://${request.headers.host ?? 'localhost'}${path}?${query}`;
  };
  return {
    data: items.slice(0, limit).map(shape),
    previous: offset === 0 ? '' : link(Math.max(0, offset - limit)),
    next: items.length > limit ? link(offset + limit) : '',
  };
}

/** Seconds since 1970, as resources tell times. */
export const toSeconds = (date: Date): number => Math.floor(date.getTime() / 1000);
