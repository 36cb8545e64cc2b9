import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import path from 'node:path';
import { AppError } from './core/errors.ts';

/**
 * Every setting there is, and the only reader of the environment. A key takes its value from the first of: flag,
 * environment variable, millrace.yaml, default. docs/reference/config.md is generated from this table.
 */
type Key<T> = {
  env: string;
  /** Shown in the reference in place of a default that depends on the machine. */
  defaultText?: string;
  default: T;
  description: string;
  /** Masked whenever the configuration is printed: wholly, or only the password of a URL. */
  secret?: 'value' | 'url';
  /** Takes text (flags, environment) or what YAML made of it. Throws a sentence about what is allowed. */
  parse(value: unknown): T;
};

const cpus = availableParallelism();
const memoryMb = Math.floor(totalmem() / 1024 / 1024);

const keys = {
  dataDirectory: {
    env: 'MILLRACE_DATA',
    default: path.resolve('millrace-data'),
    defaultText: './millrace-data',
    description:
      'Where everything is kept: database, tables, files, logs, keys. Made with mode 0700, locked by its server.',
    parse: (value) => path.resolve(text(value)),
  } as Key<string>,
  host: {
    env: 'MILLRACE_HOST',
    default: '127.0.0.1',
    description: 'Address to listen on. Anything but loopback makes Millrace reachable from other machines.',
    parse: text,
  } as Key<string>,
  port: {
    env: 'MILLRACE_PORT',
    default: 8000,
    description: 'Port to listen on; 0 takes a free one.',
    parse: integer(0, 65_535),
  } as Key<number>,
  tlsCert: {
    env: 'MILLRACE_TLS_CERT',
    default: undefined,
    description: 'PEM file with the certificate chain. With it (and tlsKey) the server speaks HTTPS only.',
    parse: file,
  } as Key<string | undefined>,
  tlsKey: {
    env: 'MILLRACE_TLS_KEY',
    default: undefined,
    description: 'PEM file with the private key of tlsCert.',
    parse: file,
  } as Key<string | undefined>,
  hostSuffixes: {
    env: 'MILLRACE_HOST_SUFFIXES',
    default: ['localhost'],
    description:
      'Domain suffixes under which services answer by host name, like queue.localhost (a comma between them). Other host names are served by path alone.',
    parse: hostNames,
  } as Key<readonly string[]>,
  databaseUrl: {
    env: 'DATABASE_URL',
    default: undefined,
    defaultText: 'an embedded PostgreSQL in the data directory',
    description: 'PostgreSQL 15 or newer for the metadata, like postgres://user:password@host/database.',
    secret: 'url',
    parse: postgresUrl,
  } as Key<string | undefined>,
  databaseFsync: {
    env: 'MILLRACE_DATABASE_FSYNC',
    default: true,
    description:
      'Whether the embedded PostgreSQL waits for the disk at every commit. Turn it off only for data you can lose: a power cut may break it.',
    parse: boolean,
  } as Key<boolean>,
  encryptionKey: {
    env: 'MILLRACE_ENCRYPTION_KEY',
    default: undefined,
    defaultText: 'the file encryption.key in the data directory, made at the first start',
    description: 'Key for stored secrets: 32 bytes in base64. Without it no stored secret can be read: keep a copy.',
    secret: 'value',
    parse: base64Key,
  } as Key<string | undefined>,
  runtime: {
    env: 'MILLRACE_RUNTIME',
    default: 'auto',
    description:
      'How components run: `bubblewrap` (sandboxed), `plain` (child processes without a sandbox), or `auto`: a sandbox where bubblewrap works, plain child processes otherwise and only while the host is loopback.',
    parse: choice('auto', 'bubblewrap', 'plain'),
  } as Key<'auto' | 'bubblewrap' | 'plain'>,
  storageConcurrency: {
    env: 'MILLRACE_STORAGE_CONCURRENCY',
    default: Math.max(4, cpus),
    defaultText: 'number of processors, at least 4',
    description: 'Storage jobs (imports, exports) that run at a time.',
    parse: integer(1, 1000),
  } as Key<number>,
  componentConcurrency: {
    env: 'MILLRACE_COMPONENT_CONCURRENCY',
    default: Math.max(4, cpus),
    defaultText: 'number of processors, at least 4',
    description: 'Component jobs (transformations, extractors, writers) that run at a time.',
    parse: integer(1, 1000),
  } as Key<number>,
  scriptConcurrency: {
    env: 'MILLRACE_SCRIPT_CONCURRENCY',
    default: Math.max(4, cpus),
    defaultText: 'number of processors, at least 4',
    description: 'Scripts that run at a time, beside the component jobs.',
    parse: integer(1, 1000),
  } as Key<number>,
  engineMemoryMb: {
    env: 'MILLRACE_ENGINE_MEMORY_MB',
    default: Math.max(256, Math.floor(memoryMb * 0.4)),
    defaultText: '40 % of the memory of the machine',
    description: 'Memory limit of the table engine in MB; beyond it, work spills to disk.',
    parse: integer(128, 16_777_216),
  } as Key<number>,
  engineThreads: {
    env: 'MILLRACE_ENGINE_THREADS',
    default: cpus,
    defaultText: 'number of processors',
    description: 'Threads of the table engine.',
    parse: integer(1, 1024),
  } as Key<number>,
  engineIdleSeconds: {
    env: 'MILLRACE_ENGINE_IDLE_SECONDS',
    default: 60,
    description: 'An engine process without work ends after so many seconds and is started again when needed.',
    parse: integer(1, 86_400),
  } as Key<number>,
  tableRetentionDays: {
    env: 'MILLRACE_TABLE_RETENTION_DAYS',
    default: 7,
    description: 'How long files of earlier table versions are kept.',
    parse: integer(0, 36_500),
  } as Key<number>,
  workspacePort: {
    env: 'MILLRACE_WORKSPACE_PORT',
    default: 5439,
    description:
      'Port of the PostgreSQL for workspaces, which listens at `host` once there is a workspace. If it is taken, the next free one; 0 takes any.',
    parse: integer(0, 65_535),
  } as Key<number>,
  workspaceMysqlUrl: {
    env: 'MILLRACE_WORKSPACE_MYSQL_URL',
    default: undefined,
    defaultText: 'none: there are no MySQL workspaces',
    description:
      'MariaDB or MySQL for workspaces, like mysql://admin:password@host:3306. The login needs all privileges with grant option; clients get host and port as they stand here.',
    secret: 'url',
    parse: mysqlUrl,
  } as Key<string | undefined>,
  localSources: {
    env: 'MILLRACE_LOCAL_SOURCES',
    default: [],
    defaultText: 'none: file sources read addresses only',
    description:
      'Folders of this machine whose files every project may read with a file source (a colon between them). They are shown to the source read-only and must be readable by every user of the machine.',
    parse: folders,
  } as Key<readonly string[]>,
  filestore: {
    env: 'MILLRACE_FILESTORE',
    default: 'local',
    description:
      'Where the content of Storage files is kept: `local` (the folder files/ of the data directory) or `s3`. Tables are in the data directory either way. Files do not move by themselves when this changes.',
    parse: choice('local', 's3'),
  } as Key<'local' | 's3'>,
  s3Endpoint: {
    env: 'MILLRACE_S3_ENDPOINT',
    default: undefined,
    defaultText: "Amazon's, by region",
    description:
      'Address of an S3 service of another maker, like https://minio.example.com:9000; the bucket goes into the path.',
    parse: httpUrl,
  } as Key<string | undefined>,
  s3Region: {
    env: 'MILLRACE_S3_REGION',
    default: 'us-east-1',
    description: 'Region of the bucket.',
    parse: text,
  } as Key<string>,
  s3Bucket: {
    env: 'MILLRACE_S3_BUCKET',
    default: undefined,
    description: 'Bucket for files. It must exist; Millrace reads, writes, lists and deletes in it.',
    parse: bucketName,
  } as Key<string | undefined>,
  s3Prefix: {
    env: 'MILLRACE_S3_PREFIX',
    default: '',
    defaultText: 'none',
    description: 'In front of every object name, like millrace/, for a bucket with other things in it.',
    parse: objectPrefix,
  } as Key<string>,
  s3AccessKeyId: {
    env: 'MILLRACE_S3_ACCESS_KEY_ID',
    default: undefined,
    description: 'Access key for the bucket.',
    parse: text,
  } as Key<string | undefined>,
  s3SecretAccessKey: {
    env: 'MILLRACE_S3_SECRET_ACCESS_KEY',
    default: undefined,
    description: 'Secret of that access key.',
    secret: 'value',
    parse: text,
  } as Key<string | undefined>,
  logLevel: {
    env: 'MILLRACE_LOG_LEVEL',
    default: 'info',
    description: 'What goes into logs/server.log: debug, info, warn or error.',
    parse: choice('debug', 'info', 'warn', 'error'),
  } as Key<'debug' | 'info' | 'warn' | 'error'>,
  url: {
    env: 'MILLRACE_URL',
    default: undefined,
    defaultText: 'the url in credentials.json',
    description: 'For commands that talk to a running server: where it is.',
    parse: httpUrl,
  } as Key<string | undefined>,
  manageToken: {
    env: 'MILLRACE_MANAGE_TOKEN',
    default: undefined,
    defaultText: 'the manageToken in credentials.json',
    description: 'For commands that talk to a running server: the token to do it with.',
    secret: 'value',
    parse: text,
  } as Key<string | undefined>,
};

type Keys = typeof keys;
export type ConfigKey = keyof Keys;
export type Config = { readonly [Name in ConfigKey]: Keys[Name]['default'] };
export type ConfigSource = 'flag' | 'environment' | 'file' | 'default';
export type LoadedConfig = { config: Config; sources: Record<ConfigKey, ConfigSource>; file: string | undefined };

export type ConfigInputs = {
  /** Values of command line flags; undefined means that the flag was not given. */
  flags?: Partial<Record<ConfigKey, unknown>>;
  env?: Record<string, string | undefined>;
  /** Path of the YAML file; default: $MILLRACE_CONFIG, else millrace.yaml in the current folder if there is one. */
  file?: string;
};

/** Reads all sources and checks everything. Throws one error with every problem in it, not just the first. */
export function loadConfig({ flags = {}, env = process.env, file }: ConfigInputs = {}): LoadedConfig {
  const problems: string[] = [];
  const source = readFile(file ?? env.MILLRACE_CONFIG, problems);
  const config: Partial<Record<ConfigKey, unknown>> = {};
  const sources = {} as Record<ConfigKey, ConfigSource>;
  for (const name of Object.keys(keys) as ConfigKey[]) {
    const key: Key<unknown> = keys[name];
    const candidates: [ConfigSource, unknown, string][] = [
      ['flag', flags[name], `--${flagName(name)}`],
      // An empty variable is how shells and compose files say "not set".
      ['environment', env[key.env] === '' ? undefined : env[key.env], key.env],
      ['file', source.values[name] ?? undefined, `${name} in ${source.path}`],
    ];
    const found = candidates.find(([, value]) => value !== undefined);
    sources[name] = found?.[0] ?? 'default';
    try {
      config[name] = found ? key.parse(found[1]) : key.default;
    } catch (error) {
      problems.push(`${found?.[2]}: ${(error as Error).message}`);
    }
  }
  if ((config.tlsCert === undefined) !== (config.tlsKey === undefined)) {
    problems.push('tlsCert and tlsKey are only of use together: set both or none');
  }
  if (config.filestore === 's3') {
    const missing = (['s3Bucket', 's3AccessKeyId', 's3SecretAccessKey'] as const).filter(
      (name) => config[name] === undefined,
    );
    if (missing.length > 0) problems.push(`filestore s3 needs ${missing.join(', ')} too`);
  }
  for (const folder of (config.localSources ?? []) as string[]) {
    const data = String(config.dataDirectory);
    if (isWithin(folder, data) || isWithin(data, folder))
      problems.push(`localSources: ${folder} and the data directory must not lie in each other`);
  }
  if (problems.length > 0) {
    throw new AppError('invalid', 'config.invalid', `The configuration is wrong:\n- ${problems.join('\n- ')}`, {
      details: { problems },
    });
  }
  return { config: Object.freeze(config) as Config, sources, file: source.path };
}

export type ConfigLine = { key: ConfigKey; value: unknown; source: ConfigSource };

/** The configuration as it may be shown to people: secrets masked. */
export function describeConfig({ config, sources }: LoadedConfig): ConfigLine[] {
  return (Object.keys(keys) as ConfigKey[]).map((key) => ({
    key,
    value: mask(keys[key].secret, config[key]),
    source: sources[key],
  }));
}

/** docs/reference/config.md */
export function renderConfigReference(): string {
  const rows = (Object.keys(keys) as ConfigKey[]).map((name) => {
    const key: Key<unknown> = keys[name];
    const fallback = key.defaultText ?? (key.default === undefined ? '-' : `\`${String(key.default)}\``);
    return `| \`${name}\` | \`${key.env}\` | ${fallback} | ${key.description} |`;
  });
  return [
    '# Configuration',
    '',
    'Generated from `src/config.ts` by `npm run docs`.',
    '',
    'A setting is taken from the first of: command line flag, environment variable, `millrace.yaml` in the current',
    'folder (or the file that `MILLRACE_CONFIG` names), default. No setting is required. `millrace config print` shows',
    'the result and where each value comes from, with secrets masked.',
    '',
    '| key in millrace.yaml | environment | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

function readFile(
  given: string | undefined,
  problems: string[],
): { path: string | undefined; values: Record<string, unknown> } {
  const file = path.resolve(given ?? 'millrace.yaml');
  if (!existsSync(file)) {
    if (given !== undefined) problems.push(`the configuration file ${file} does not exist`);
    return { path: undefined, values: {} };
  }
  let values: unknown;
  try {
    // Loaded here, because few have such a file and every start would pay for it.
    const yaml = createRequire(import.meta.url)('yaml') as typeof import('yaml');
    values = yaml.parse(readFileSync(file, 'utf8')) ?? {};
  } catch (error) {
    problems.push(`${file} is not valid YAML: ${(error as Error).message.split('\n')[0]}`);
    return { path: file, values: {} };
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    problems.push(`${file} must hold keys and values`);
    return { path: file, values: {} };
  }
  for (const name of Object.keys(values)) {
    if (!Object.hasOwn(keys, name)) problems.push(`${name} in ${file}: there is no such setting`);
  }
  return { path: file, values: values as Record<string, unknown> };
}

function mask(secret: Key<unknown>['secret'], value: unknown): unknown {
  if (secret === undefined || value === undefined) return value;
  if (secret === 'value') return '*****';
  const url = new URL(String(value));
  if (url.password !== '') url.password = '*****';
  return url.href;
}

function flagName(key: string): string {
  if (key === 'dataDirectory') return 'data';
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function text(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string' || value.trim() === '') throw new Error('must be text and not empty');
  return value.trim();
}

function boolean(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new Error('must be true or false');
}

function integer(min: number, max: number): (value: unknown) => number {
  return (value) => {
    const number = typeof value === 'string' && /^-?\d+$/.test(value.trim()) ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isInteger(number) || number < min || number > max) {
      throw new Error(`must be a whole number from ${min} to ${max}, not ${JSON.stringify(value)}`);
    }
    return number;
  };
}

function choice<const T extends string>(...allowed: T[]): (value: unknown) => T {
  return (value) => {
    const found = allowed.find((one) => one === value);
    if (found === undefined) throw new Error(`must be one of ${allowed.join(', ')}, not ${JSON.stringify(value)}`);
    return found;
  };
}

function folders(value: unknown): string[] {
  const names = Array.isArray(value) ? value.map(text) : text(value).split(path.delimiter).filter(Boolean);
  return names.map((name) => {
    let found: string;
    try {
      found = realpathSync(name);
    } catch {
      throw new Error(`${name} does not exist`);
    }
    if (!path.isAbsolute(name) || !statSync(found).isDirectory()) throw new Error(`${name} is no folder's full path`);
    return found;
  });
}

const isWithin = (inner: string, outer: string) => `${inner}/`.startsWith(outer === '/' ? '/' : `${outer}/`);

function hostNames(value: unknown): string[] {
  const names = (Array.isArray(value) ? value.map(text) : text(value).split(',')).map((name) =>
    name.trim().toLowerCase(),
  );
  for (const name of names) {
    if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(name)) throw new Error(`${JSON.stringify(name)} is not a domain name`);
  }
  return names;
}

function file(value: unknown): string {
  const resolved = path.resolve(text(value));
  if (!existsSync(resolved)) throw new Error(`the file ${resolved} does not exist`);
  return resolved;
}

function urlWith(protocols: string[], value: unknown): URL {
  const url = URL.canParse(text(value)) ? new URL(text(value)) : undefined;
  // The value itself is not repeated: it may hold a password.
  if (!url || !protocols.includes(url.protocol)) throw new Error(`must be a URL that starts with ${protocols[0]}//`);
  return url;
}

function postgresUrl(value: unknown): string {
  return urlWith(['postgres:', 'postgresql:'], value).href;
}

function mysqlUrl(value: unknown): string {
  const url = urlWith(['mysql:', 'mariadb:'], value);
  if (url.hostname === '' || url.username === '') throw new Error('must name a host and a user');
  return url.href;
}

function httpUrl(value: unknown): string {
  return urlWith(['http:', 'https:'], value).href.replace(/\/$/, '');
}

function bucketName(value: unknown): string {
  const name = text(value);
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) throw new Error(`${JSON.stringify(name)} is not a bucket name`);
  return name;
}

/** Ends with a slash, so that it is a folder to people who look into the bucket. */
function objectPrefix(value: unknown): string {
  const prefix = text(value).replace(/^\/+|\/+$/g, '');
  if (prefix === '') return '';
  const isPlain = prefix
    .split('/')
    .every((segment) => /^[A-Za-z0-9!_.*'()-]+$/.test(segment) && !/^\.+$/.test(segment));
  if (!isPlain || prefix.length > 200)
    throw new Error("must be names of letters, digits and !-_.*'() with slashes between them");
  return `${prefix}/`;
}

function base64Key(value: unknown): string {
  const key = text(value);
  if (Buffer.from(key, 'base64').length !== 32 || !/^[A-Za-z0-9+/]+=*$/.test(key)) {
    throw new Error('must be 32 bytes in base64 (make one with: openssl rand -base64 32)');
  }
  return key;
}
