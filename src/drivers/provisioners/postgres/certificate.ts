import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

const OPENSSL = ['/usr/bin/openssl', '/usr/local/bin/openssl', '/opt/homebrew/bin/openssl'];

/**
 * A certificate that nobody vouches for: enough for `sslmode=require`, so that passwords and rows are not read on the
 * way. Undefined where openssl is missing; then there is no TLS without a certificate of the operator's.
 */
export function ensureCertificate(home: string): { cert: string; key: string } | undefined {
  const folder = path.join(home, 'tls');
  const files = (inside: string) => ({ cert: path.join(inside, 'server.crt'), key: path.join(inside, 'server.key') });
  if (!existsSync(folder)) {
    const openssl = OPENSSL.find((file) => existsSync(file));
    if (openssl === undefined) return undefined;
    const draft = `${folder}.new`;
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true, mode: 0o700 });
    const { cert, key } = files(draft);
    const made = spawnSync(
      openssl,
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '3650'].concat([
        '-subj',
        '/CN=millrace-workspaces',
        '-keyout',
        key,
        '-out',
        cert,
      ]),
      { stdio: 'ignore', timeout: 30_000 },
    );
    if (made.status !== 0 || !existsSync(cert)) return undefined;
    renameSync(draft, folder);
  }
  const { cert, key } = files(folder);
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}
