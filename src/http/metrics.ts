import type { FastifyInstance } from 'fastify';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Core } from '../core/core.ts';

/** `/metrics` in Prometheus text. The registry belongs to this server: two of them may live in one process. */
export function registerMetrics(app: FastifyInstance, core: Core, dialectOf: (path: string) => string): void {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'millrace_http_requests_total',
    help: 'Answered HTTP requests.',
    labelNames: ['dialect', 'method', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'millrace_http_request_seconds',
    help: 'Time from the first byte of a request to the last of its answer.',
    labelNames: ['dialect'],
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
    registers,
  });
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of this process.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  app.addHook('onResponse', async (request, reply) => {
    const dialect = dialectOf(request.url);
    requests.inc({ dialect, method: request.method, status: reply.statusCode });
    durations.observe({ dialect }, reply.elapsedTime / 1000);
  });
  app.get('/metrics', { config: { public: true } }, async (_request, reply) => {
    reply.type(registry.contentType);
    return registry.metrics();
  });
}
