import type { FastifyInstance } from 'fastify';
import { page } from './page.ts';

/** `/`: a page for people in a browser, an index for programs. */
export function registerWelcome(app: FastifyInstance, version: string): void {
  app.get('/', { config: { public: true } }, async (request, reply) => {
    if (!(request.headers.accept ?? '').includes('text/html')) {
      return {
        name: 'millrace',
        version,
        links: {
          health: '/health',
          metrics: '/metrics',
          docs: '/docs',
          keboolaStorage: '/v2/storage',
          queue: '/queue',
        },
      };
    }
    reply.type('text/html; charset=utf-8');
    return page(
      'Millrace',
      `<h1>Millrace</h1>
<p>The data platform is running, version ${version}.</p>
<p>Its credentials are in the file <code>credentials.json</code> in the data directory. Point any client of the
Keboola Storage API at this address.</p>
<ul>
<li><a href="/docs">API reference</a></li>
<li><a href="/v2/storage?exclude=components">Index of the Keboola services</a></li>
<li><a href="/health">Health</a> and <a href="/metrics">metrics</a></li>
</ul>`,
    );
  });
}
