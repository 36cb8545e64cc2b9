import { open } from 'node:fs/promises';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream';

/** Where a script without a network finds the platform's public address, in its data folder. */
const SOCKET = 'api.sock';
const MAX_CONNECTIONS = 32;

/**
 * The one thing outside that a sandboxed script may talk to: this server's own HTTP address, through a socket in its
 * folder. Whatever it wants there it must ask for with a key, like everybody. Opened before the script begins: later
 * the folder is the script's, and a socket made in it could be made anywhere.
 */
export async function openWayIn(dataFolder: string, url: string): Promise<{ close(): void }> {
  const { hostname, port, protocol } = new URL(url);
  const target = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (protocol === 'https:' ? 443 : 80)) };
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = dial(target);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
    }
    pipeline(near, far, near, () => {
      near.destroy();
      far.destroy();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.unref();
  await listenIn(server, dataFolder);
  return {
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** By the open folder: the path of a socket must be shorter than folders may be. */
async function listenIn(server: Server, folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      const address = path.join('/proc/self/fd', String(handle.fd), SOCKET);
      server.listen({ path: address, readableAll: true, writableAll: true }, resolve);
    });
  } finally {
    await handle.close();
  }
}
