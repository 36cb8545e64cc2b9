import assert from 'node:assert/strict';
import pg from 'pg';
import type { Client } from './client.ts';
import { expected } from './expected.ts';
import type { Stepper } from './step.ts';

type Login = { hostname: string; port: number; db: string; schema: string; user: string; password: string };

/** A login of one's own to a PostgreSQL, with whatever client one likes, for the result. */
export async function queryWorkspace(step: Stepper, keboola: Client, tableId: string): Promise<void> {
  let login: Login | undefined;
  await step('Provisioning: a SQL login', 'POST /syrup/provisioning', async () => {
    const made = await keboola.call<{ credentials: Login }>('POST', '/syrup/provisioning/redshift-workspace', {
      type: 'sandbox',
    });
    login = made.credentials;
    return undefined;
  });

  await step('Provisioning: query the result', 'pg: select ... from traffic', async () => {
    assert.ok(login);
    const { hostname: host, port, user, password, db: database } = login;
    const client = new pg.Client({ host, port, user, password, database });
    await client.connect();
    try {
      const [columns = [], ...rows] = await keboola.exportRows(tableId);
      const names = columns.map((name) => client.escapeIdentifier(name));
      await client.query('drop table if exists traffic');
      await client.query(`create table traffic (${names.map((name) => `${name} text`).join(', ')})`);
      const placeholders = names.map((_, index) => `$${index + 1}::text[]`).join(', ');
      const byColumn = columns.map((_, index) => rows.map((row) => row[index]));
      await client.query(`insert into traffic select * from unnest(${placeholders})`, byColumn);
      const { rows: top } = await client.query<{ state: string; share: string }>(
        `select state, round(100 * flights::numeric / sum(flights::numeric) over (), 2) as share
         from traffic order by flights::bigint desc limit ${expected.top.length}`,
      );
      assert.deepEqual(
        top.map(({ state, share }) => [state, Number(share)]),
        expected.top.map((row) => [row[0], row[5]]),
      );
      return rows.length;
    } finally {
      await client.end();
    }
  });
}
