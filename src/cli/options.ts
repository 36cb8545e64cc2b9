import { type LoadedConfig, loadConfig } from '../config.ts';

/** What commander makes of the flags that are settings. Their checks are those of the configuration. */
export type ConfigFlags = {
  data?: string;
  host?: string;
  port?: string;
  tlsCert?: string;
  tlsKey?: string;
  url?: string;
  config?: string;
  json?: boolean;
};

export function loadFromFlags({ data, host, port, tlsCert, tlsKey, url, config }: ConfigFlags): LoadedConfig {
  const flags = { dataDirectory: data, host, port, tlsCert, tlsKey, url };
  return loadConfig(config === undefined ? { flags } : { flags, file: config });
}
