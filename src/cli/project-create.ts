import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config.ts';
import { AppError } from '../core/errors.ts';
import { type ConfigFlags, loadFromFlags } from './options.ts';
import { printLine } from './output.ts';

type ProjectCredentials = {
  url: string;
  project: { id: number; name: string; slug: string };
  keboola: { storageToken: string };
  airbyte: { workspaceId: string; clientId: string; clientSecret: string };
  syncano: { instance: string; accountKey: string; apiKey: string };
};

export async function projectCreate(name: string, options: ConfigFlags): Promise<void> {
  const { config } = loadFromFlags(options);
  const { url, manageToken } = findServer(config);
  const answer = await post(`${url}/manage/projects`, manageToken, { name });
  const { project, keboola, airbyte, syncano } = answer as ProjectCredentials;
  const credentials = { url, project, keboola, airbyte, syncano };
  if (options.json) {
    printLine(JSON.stringify(credentials));
    return;
  }
  printLine(
    `Project ${project.id} "${project.name}" (${project.slug}) at ${url}. These credentials are shown only once:`,
  );
  for (const [part, values] of Object.entries({ keboola, airbyte, syncano })) {
    for (const [key, value] of Object.entries(values)) printLine(`  ${`${part}.${key}`.padEnd(22)}  ${value}`);
  }
}

/** From flags and environment, else from the credentials file of the data directory. */
function findServer(config: Config): { url: string; manageToken: string } {
  const file = path.join(config.dataDirectory, 'credentials.json');
  let kept: { url?: string; keboola?: { manageToken?: string } } = {};
  if (config.url === undefined || config.manageToken === undefined) {
    try {
      kept = JSON.parse(readFileSync(file, 'utf8')) as typeof kept;
    } catch (error) {
      throw new AppError(
        'invalid',
        'command.no-credentials',
        `${file} cannot be read. Name the data directory of the server with --data, or set MILLRACE_URL and MILLRACE_MANAGE_TOKEN.`,
        { cause: error },
      );
    }
  }
  const url = config.url ?? kept.url;
  const manageToken = config.manageToken ?? kept.keboola?.manageToken;
  if (url === undefined || manageToken === undefined) {
    throw new AppError('invalid', 'command.no-credentials', `${file} names no url or no manageToken.`);
  }
  return { url, manageToken };
}

async function post(url: string, manageToken: string, body: unknown): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-KBC-ManageApiToken': manageToken },
      body: JSON.stringify(body),
    });
  } catch (error) {
    throw new AppError(
      'invalid',
      'command.no-server',
      `No Millrace answers at ${new URL(url).origin}. Start it with: millrace up`,
      {
        cause: error,
      },
    );
  }
  const answer = (await response.json().catch(() => ({}))) as { error?: string; message?: string };
  if (response.ok) return answer;
  const reason = answer.error ?? answer.message ?? response.statusText;
  throw new AppError(
    response.status < 500 ? 'invalid' : 'unavailable',
    'command.refused',
    `The server answered ${response.status}: ${reason}`,
  );
}
