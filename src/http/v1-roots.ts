/**
 * Two dialects have calls under `/v1`. They share no first word, so the word decides; what is the objects API's is
 * served where its newer version is, and everything else under `/v1` is the connections API's.
 */
const OBJECT_ROOTS = new Set(['', 'account', 'instances', 'schema', 'usage', 'backups', 'billing']);

/** The URL to route by. */
export function splitV1(url: string): string {
  const match = /^\/+v1(?=[/?]|$)\/*([^/?]*)/.exec(url);
  if (!match || !OBJECT_ROOTS.has(match[1] ?? '')) return url;
  return url.replace(/^\/+v1/, '/v1.1');
}
