import type { Json } from '../../lib/json.ts';

/** Scripts are configurations of this component, their runs jobs of the kind `script`. */
export const SCRIPT_COMPONENT = 'millrace.script';

export type ScriptConfig = { [key: string]: Json };

/** What answers HTTP calls with a script: configurations of this component, whose id is the endpoint's name. */
export const ENDPOINT_COMPONENT = 'millrace.script-endpoint';

export type ScriptEndpoint = {
  name: string;
  description: string;
  scriptId: number;
  /** In the address under which it answers without a key, while it is public. */
  publicLink: string;
  isPublic: boolean;
};

export type NewScriptEndpoint = Pick<ScriptEndpoint, 'name' | 'scriptId'> &
  Partial<Pick<ScriptEndpoint, 'description' | 'isPublic'>>;
export type ScriptEndpointPatch = {
  [Key in 'description' | 'scriptId' | 'isPublic']?: ScriptEndpoint[Key] | undefined;
};

export type Script = {
  /** The id of its configuration. */
  id: number;
  label: string;
  description: string;
  runtime: string;
  source: string;
  /** Given to each run; a few members of it say how to run (`timeout`, in seconds). Secrets are ciphers. */
  config: ScriptConfig;
  version: number;
  createdAt: Date;
  updatedAt: Date;
};

export type NewScript = Pick<Script, 'label' | 'runtime'> & Partial<Pick<Script, 'description' | 'source' | 'config'>>;
export type ScriptPatch = { [Key in keyof NewScript]?: NewScript[Key] | undefined };

/** What a script runs for: somebody who calls it, or something that has it called. */
export type ScriptCaller = { kind: 'script' | 'endpoint' | 'schedule' | 'trigger'; id: string };

/** The input of a job of kind `script`. */
export type ScriptRunInput = {
  /** Of the configuration: a change while the job waits does not reach it. */
  version: number;
  args: Json;
  caller: ScriptCaller;
  /** Of the HTTP call that has it run, if one has. */
  request?: Json;
  user?: { id: number; username: string };
  /** As a job of a component has them: what the caller's API keeps with it. */
  options?: { [key: string]: Json };
};

/** What a run leaves: the result of its job. */
export type ScriptResult = {
  stdout: string;
  stderr: string;
  response?: ScriptResponse;
};

/** What a script answers to an HTTP call, if it does. */
export type ScriptResponse = {
  status: number;
  contentType: string;
  headers: Record<string, string>;
  content: string;
  /** Where the content is no text. */
  encoding?: 'base64';
};

export type ScriptRuntime = { name: string; language: string; isDeprecated: boolean; isInstalled: boolean };

/** Names that scripts may be written for. All of those for Node run in the one that the server has. */
export const SCRIPT_RUNTIMES: readonly ScriptRuntime[] = [
  ...['nodejs', 'nodejs_v8', 'nodejs_v12'].map((name) => node(name, false)),
  ...['nodejs_library_v0.4', 'nodejs_library_v1.0', 'nodejs_v6'].map((name) => node(name, true)),
  ...['python', 'python_library_v4.2', 'python_library_v5.0', 'python3'].map((name) => absent(name, 'python')),
  ...['ruby', 'golang', 'swift', 'php'].map((name) => absent(name, name)),
];

function node(name: string, isDeprecated: boolean): ScriptRuntime {
  return { name, language: 'nodejs', isDeprecated, isInstalled: true };
}

function absent(name: string, language: string): ScriptRuntime {
  return { name, language, isDeprecated: false, isInstalled: false };
}

export const SCRIPT_LIMITS = {
  labelLength: 64,
  sourceBytes: 3 * 1024 * 1024,
  argsBytes: 512 * 1024,
  /** What a script prints, and what it answers, each. */
  resultBytes: 512 * 1024,
  responseHeaders: 100,
  responseHeaderLength: 4096,
  listedResultBytes: 64 * 1024,
  configKeys: 1024,
  configKeyLength: 64,
  configBytes: 256 * 1024,
  timeoutSeconds: 300,
  defaultTimeoutSeconds: 30,
} as const;

/** How jobs name what they run for. */
export function callerKey({ kind, id }: ScriptCaller): string {
  return `${kind}/${id}`;
}
