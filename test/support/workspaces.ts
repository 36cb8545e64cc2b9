import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Provisioner, Provisioners } from '../../src/drivers/provisioners/contract.ts';
import { openMysqlProvisioner } from '../../src/drivers/provisioners/mysql/index.ts';
import { openPostgresProvisioner } from '../../src/drivers/provisioners/postgres/index.ts';
import { silentLogger } from '../../src/lib/logger.ts';
import { cleanup, type Scope } from './cleanup.ts';

/** A PostgreSQL for workspaces in a temporary folder, on a free port unless told. It starts at the first use. */
export async function openTestProvisioner(
  t: Scope,
  options: { home?: string; port?: number } = {},
): Promise<Provisioner> {
  const home = options.home ?? mkdtempSync(path.join(tmpdir(), 'millrace-workspaces-'));
  if (options.home === undefined) cleanup(t, () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
  const provisioner = await openPostgresProvisioner({
    home,
    host: '127.0.0.1',
    port: options.port ?? 0,
    log: silentLogger,
    fsync: false,
  });
  cleanup(t, () => provisioner.close());
  return provisioner;
}

/** The backends as they are configured: MySQL only with the address of a server. */
export async function testProvisioners(t: Scope, mysqlUrl?: string): Promise<Provisioners> {
  const postgres = await openTestProvisioner(t);
  if (mysqlUrl === undefined) return { postgres };
  const mysql = await openMysqlProvisioner({ url: mysqlUrl });
  cleanup(t, () => mysql.close());
  return { postgres, mysql };
}
