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
  new Gauge({
    name: 'millrace_jobs_unfinished',
    help: 'Jobs that wait or run.',
    labelNames: ['lane', 'status'],
    registers,
    async collect() {
      this.reset();
      for (const { lane, status, count } of await core.jobs.countUnfinished()) this.set({ lane, status }, count);
    },
  });
  const jobDurations = new Histogram({
    name: 'millrace_job_seconds',
    help: 'Run time of jobs that ended in this process.',
    labelNames: ['kind', 'status'],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600, 3600],
    registers,
  });
  new Gauge({
    name: 'millrace_schedules',
    help: 'Schedules by state; stopped: what they run, or in whose name, is gone.',
    labelNames: ['state'],
    registers,
    async collect() {
      const { enabled, disabled, stopped } = await core.schedules.count();
      for (const [state, count] of Object.entries({ enabled, disabled, stopped })) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'millrace_schedules_overdue',
    help: 'Schedules that are due for more than a minute: no process with the role scheduler seems to run.',
    registers,
    async collect() {
      this.set((await core.schedules.count()).overdue);
    },
  });
  const scheduleTimes = new Counter({
    name: 'millrace_schedule_times_total',
    help: 'Times of schedules that were handled in this process.',
    labelNames: ['outcome'],
    registers,
  });
  const scheduleLag = new Histogram({
    name: 'millrace_schedule_lag_seconds',
    help: 'From the time a schedule was due to the job it made.',
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
    registers,
  });
  const stopCounting = core.occurrences.onHandled(({ outcome, lagMs }) => {
    scheduleTimes.inc({ outcome });
    if (outcome === 'started') scheduleLag.observe(Math.max(0, lagMs) / 1000);
  });
  app.addHook('onClose', async () => stopCounting());
  const stopListening = core.jobs.onEnd(({ kind, status, startedAt, finishedAt }) => {
    if (startedAt && finishedAt)
      jobDurations.observe({ kind, status }, (finishedAt.getTime() - startedAt.getTime()) / 1000);
  });
  app.addHook('onClose', async () => stopListening());
  app.addHook('onResponse', (request, reply, done) => {
    const dialect = dialectOf(request.url);
    requests.inc({ dialect, method: request.method, status: reply.statusCode });
    durations.observe({ dialect }, reply.elapsedTime / 1000);
    done();
  });
  app.get('/metrics', { config: { public: true } }, async (_request, reply) => {
    reply.type(registry.contentType);
    return registry.metrics();
  });
}
