import { setTimeout as sleep } from 'node:timers/promises';
import type { Credentials } from '../../src/core/projects/credentials.ts';

export type AirbyteAnswer = { status: number; text: string; body: AirbyteBody };
/** Members that the tests look at; anything else is under its name as well. */
export type AirbyteBody = { [key: string]: unknown; data?: { [key: string]: unknown }[] };

/** Calls over HTTP with the application of the credentials. */
export function airbyteClient(url: string, { airbyte }: Pick<Credentials, 'airbyte'>) {
  const authorization = `Basic ${Buffer.from(`${airbyte.clientId}:${airbyte.clientSecret}`).toString('base64')}`;
  const call = async (method: string, path: string, payload?: object): Promise<AirbyteAnswer> => {
    const answer = await fetch(`${url}/api/public/v1${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(payload && { body: JSON.stringify(payload) }),
    });
    const text = await answer.text();
    return { status: answer.status, text, body: text.startsWith('{') ? (JSON.parse(text) as AirbyteBody) : {} };
  };
  /** Asks for a job until it has ended. */
  const untilEnd = async (jobId: number): Promise<AirbyteBody> => {
    for (;;) {
      const { body } = await call('GET', `/jobs/${jobId}`);
      if (['succeeded', 'failed', 'cancelled'].includes(String(body.status))) return body;
      await sleep(100);
    }
  };
  return { call, untilEnd, workspaceId: airbyte.workspaceId };
}
