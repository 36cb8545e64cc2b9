/** One public HTTP API with a caller's credentials, as a user would write it: nothing of the server's own code is used. */
export class Api {
  readonly url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, headers: Record<string, string>) {
    this.url = url;
    this.#headers = headers;
  }

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const text = await this.#read(method, path, await this.#fetch(method, path, body));
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Undefined when the object does not exist. */
  async find<T>(path: string): Promise<T | undefined> {
    const response = await this.#fetch('GET', path);
    if (response.status === 404) return undefined;
    return JSON.parse(await this.#read('GET', path, response)) as T;
  }

  async text(path: string): Promise<string> {
    return this.#read('GET', path, await this.#fetch('GET', path));
  }

  async #read(method: string, path: string, response: Response): Promise<string> {
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return text;
  }

  #fetch(method: string, path: string, body?: unknown): Promise<Response> {
    const headers = { ...this.#headers, ...(body !== undefined && { 'Content-Type': 'application/json' }) };
    return fetch(`${this.url}${path}`, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  }
}

/** What `credentials.json` and `millrace project create --json` hold. */
export type Credentials = {
  url: string;
  project: { id: number; name: string; slug: string };
  keboola: { storageToken: string };
  airbyte: { workspaceId: string; clientId: string; clientSecret: string };
  syncano: { instance: string; accountKey: string; apiKey: string };
};

/** The connections API, with a token that is had for the application's id and secret. */
export async function airbyteApi({ url, airbyte }: Pick<Credentials, 'url' | 'airbyte'>): Promise<Api> {
  const base = `${url}/api/public/v1`;
  const { access_token: token } = await new Api(base, {}).call<{ access_token: string }>(
    'POST',
    '/applications/token',
    { client_id: airbyte.clientId, client_secret: airbyte.clientSecret, grant_type: 'client_credentials' },
  );
  return new Api(base, { Authorization: `Bearer ${token}` });
}

/** The objects API of the project's instance. */
export function syncanoApi({ url, syncano }: Pick<Credentials, 'url' | 'syncano'>): Api {
  return new Api(`${url}/v1.1/instances/${syncano.instance}`, { 'X-API-KEY': syncano.accountKey });
}
