import { ROLES, startPlatform } from '../platform.ts';
import { type ConfigFlags, loadFromFlags } from './options.ts';
import { say } from './output.ts';
import { requireKnown, runServer } from './run-server.ts';

export async function serve(options: ConfigFlags & { roles: string }): Promise<void> {
  const { config } = loadFromFlags(options);
  const names = options.roles.split(',').map((name) => name.trim());
  const roles = requireKnown(
    names.filter((name) => name !== ''),
    ROLES,
    'roles',
  );
  const shared = config.databaseUrl !== undefined;
  await runServer(() => startPlatform({ config, roles, shared, say }), { json: options.json === true });
}
