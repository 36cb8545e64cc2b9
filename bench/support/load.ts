import { connect, type Socket } from 'node:net';

export type Call = { method: string; path: string; headers: string; body?: string };
export type Load = { calls: number; failed: number; firstFailure: string; seconds: number; latenciesMs: number[] };

/** Headers as the text that goes over the wire, made once instead of for each call. */
export function headerText(headers: Record<string, string>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}

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
  const result: Load = { calls: 0, failed: 0, firstFailure: '', seconds: 0, latenciesMs: [] };
  const started = performance.now();
  const until = started + options.seconds * 1000;
  const host = `${hostname}:${port}`;
  await Promise.all(
    Array.from({ length: options.connections }, () => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      return converse(socket, host, { until, expected: options.expected, next, result });
    }),
  );
  result.seconds = (performance.now() - started) / 1000;
  return result;
}

type Talk = { until: number; expected: number; next: () => Call; result: Load };

const END_OF_HEAD = Buffer.from('\r\n\r\n');

/** One call after another on one connection. Only answers that say their length are understood. */
function converse(socket: Socket, host: string, { until, expected, next, result }: Talk): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentAt = 0;
    let missing = 0;
    let status = 0;
    let begun: Buffer | undefined;
    const send = () => {
      sentAt = performance.now();
      if (sentAt >= until) {
        socket.destroy();
        resolve();
        return;
      }
      const { method, path, headers, body } = next();
      const content =
        body === undefined
          ? '\r\n'
          : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
      socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${headers}${content}`);
    };
    const answered = (text: string) => {
      result.calls++;
      result.latenciesMs.push(performance.now() - sentAt);
      if (status !== expected && result.failed++ === 0) result.firstFailure = text;
      status = 0;
      send();
    };
    socket.on('data', (chunk: Buffer) => {
      if (status !== 0) {
        missing -= chunk.length;
        if (missing <= 0) answered('');
        return;
      }
      const received = begun ? Buffer.concat([begun, chunk]) : chunk;
      const end = received.indexOf(END_OF_HEAD);
      begun = end < 0 ? received : undefined;
      if (end < 0) return;
      const head = received.toString('latin1', 0, end);
      status = Number(head.slice(9, 12));
      const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
      if (length === undefined && status !== 204) {
        socket.destroy();
        reject(new Error(`An answer without content-length:\n${head}`));
        return;
      }
      missing = end + 4 + Number(length ?? 0) - received.length;
      if (missing <= 0) answered(status === expected ? '' : received.toString());
    });
    socket.once('error', reject);
    socket.once('connect', send);
    socket.once('close', () => reject(new Error('The server closed a connection')));
  });
}
