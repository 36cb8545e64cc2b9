import { startPlatform } from '../platform.ts';
import { type ConfigFlags, loadFromFlags } from './options.ts';
import { say } from './output.ts';
import { runServer } from './run-server.ts';

export async function up(options: ConfigFlags): Promise<void> {
  const { config } = loadFromFlags(options);
  await runServer(() => startPlatform({ config, say }), { json: options.json === true });
}
