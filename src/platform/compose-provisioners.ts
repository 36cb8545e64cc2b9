import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config.ts';
import type { Provisioner, Provisioners } from '../drivers/provisioners/contract.ts';
import { provisioners as drivers } from '../drivers/registry.ts';
import type { Lifecycle } from '../lib/lifecycle.ts';
import type { Logger } from '../lib/logger.ts';

const STOP_MS = { begin: 50, end: 300 };

export type ProvisionerParts = { config: Config; log: Logger; shared: boolean };

/** The backends of workspaces that are configured. None of them is started or connected to before it is needed. */
export async function composeProvisioners({ config, log, shared }: ProvisionerParts): Promise<Provisioners> {
  const { tlsCert, tlsKey } = config;
  const found: Record<string, Provisioner> = {};
  // The cluster belongs to whoever holds the lock of the data directory.
  if (!shared) {
    found.postgres = await (await drivers.postgres()).openPostgresProvisioner({
      home: path.join(config.dataDirectory, 'workspaces'),
      host: config.host,
      port: config.workspacePort,
      ...(tlsCert !== undefined &&
        tlsKey !== undefined && { tls: { cert: readFileSync(tlsCert, 'utf8'), key: readFileSync(tlsKey, 'utf8') } }),
      log,
      fsync: config.databaseFsync,
    });
  }
  if (config.workspaceMysqlUrl !== undefined)
    found.mysql = await (await drivers.mysql()).openMysqlProvisioner({ url: config.workspaceMysqlUrl });
  return found;
}

/**
 * Closing takes a server's shutdown. So it begins with the first closers (`begin`, registered last) and is only waited
 * for among the last ones (`end`, registered first), while everything else stops.
 */
export function closeProvisioners(provisioners: Provisioners, log: Logger) {
  let closing: Promise<unknown> | undefined;
  const close = () => {
    closing ??= Promise.all(
      Object.values(provisioners).map((one) =>
        one.close().catch((error: unknown) => log.error({ err: error }, 'a workspace backend did not close')),
      ),
    );
    return closing;
  };
  return {
    end: (lifecycle: Lifecycle) => lifecycle.onStop('workspaces', STOP_MS.end, close),
    begin: (lifecycle: Lifecycle) =>
      lifecycle.onStop('workspaces begin', STOP_MS.begin, () => {
        close();
      }),
  };
}
