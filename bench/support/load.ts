import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export type Call = { method: string; path: string; headers: Record<string, string>; body?: string };
export type Load = { calls: number; failed: number; seconds: number; latenciesMs: number[] };

/**
 * Sends calls over so many kept connections at once, each the next when its last is answered. Written on plain sockets,
 * because a whole HTTP client would take a good part of the machine that is being measured.
 */
export async function load(
  url: string,
  options: { connections: number; seconds: number; expected: number },
  next: () => Call,
): Promise<Load> {
  const { hostname, port } = new URL(url);
  const result: Load = { calls: 0, failed: 0, seconds: 0, latenciesMs: [] };
  const started = performance.now();
  const until = started + options.seconds * 1000;
  await Promise.all(
    Array.from({ length: options.connections }, async () => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      await once(socket, 'connect');
      while (performance.now() < until) {
        const sent = performance.now();
        const status = await exchange(socket, hostname, next());
        result.calls++;
        if (status !== options.expected) result.failed++;
        result.latenciesMs.push(performance.now() - sent);
      }
      socket.destroy();
    }),
  );
  result.seconds = (performance.now() - started) / 1000;
  return result;
}

/** The status of the answer, read to its end. */
function exchange(socket: Socket, host: string, { method, path, headers, body = '' }: Call): Promise<number> {
  return new Promise((resolve, reject) => {
    let received = 0;
    let total = Number.POSITIVE_INFINITY;
    let status = 0;
    let head = '';
    const onData = (chunk: Buffer) => {
      received += chunk.length;
      if (status === 0) {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        status = Number(head.slice(9, 12));
        total = end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      }
      if (received < total) return;
      socket.off('data', onData);
      socket.off('error', reject);
      resolve(status);
    };
    socket.on('data', onData);
    socket.once('error', reject);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const type = body === '' ? '' : 'content-type: application/json\r\n';
    socket.write(
      `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines.join('')}${type}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
}
