import type { FastifyInstance } from 'fastify';

/**
 * One short line per request. The query is left out: signed URLs and old clients carry secrets in it. Probes are left
 * out because they would drown the rest.
 */
export function registerRequestLog(app: FastifyInstance): void {
  app.addHook('onResponse', (request, reply, done) => {
    done();
    const path = request.url.split('?', 1)[0] ?? '';
    if (path === '/health' || path === '/metrics') return;
    const line = { method: request.method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime) };
    if (reply.statusCode >= 500) request.log.warn(line, 'request');
    else request.log.debug(line, 'request');
  });
}
