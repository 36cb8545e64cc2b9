import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { keboolaServer } from '../../../test/support/keboola.ts';
import { sql } from '../../db/sql.ts';
import { packageRoot } from '../../lib/package-root.ts';
import { Components } from './components.ts';
import { Configurations } from './configurations.ts';
import type { ConnectorConfiguration } from './connector-configuration.ts';
import { Connectors } from './connectors.ts';

/** Secrets at every place where a specification can have them. */
const SPECIFICATION = {
  type: 'object',
  required: ['host'],
  properties: {
    host: { type: 'string' },
    port: { type: 'integer', minimum: 1, maximum: 65535 },
    password: { type: 'string', airbyte_secret: true, pattern: '^[a-z-]+$', minLength: 3 },
    credentials: {
      type: 'object',
      oneOf: [
        {
          required: ['auth_type', 'token'],
          properties: { auth_type: { const: 'token' }, token: { type: 'string', airbyte_secret: true } },
        },
        {
          required: ['auth_type', 'user', 'word'],
          properties: {
            auth_type: { const: 'word' },
            user: { type: 'string' },
            word: { type: 'string', airbyte_secret: true },
          },
        },
      ],
    },
    accounts: {
      type: 'array',
      items: {
        type: 'object',
        properties: { name: { type: 'string' }, key: { type: 'string', airbyte_secret: true } },
      },
    },
  },
};

const MASK = '************';
const whole = {
  host: 'h',
  port: 5432,
  password: 'first-secret',
  credentials: { auth_type: 'token', token: 'second-secret' },
  accounts: [
    { name: 'a', key: 'third-secret' },
    { name: 'b', key: 'fourth-secret' },
  ],
  unknown: { deep: [1] },
};

async function world(t: TestContext) {
  const folder = await mkdtemp(path.join(tmpdir(), 'connectors-'));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(path.join(folder, 'program'));
  const connector = {
    role: 'source',
    uuid: 'u',
    slug: 'strict',
    image: 'i',
    version: '1',
    specification: SPECIFICATION,
  };
  const definition = { id: 'acme.strict', type: 'extractor', name: 'Strict', directory: 'program', connector };
  await writeFile(path.join(folder, 'acme.strict.json'), JSON.stringify({ ...definition, run: { command: ['x'] } }));
  const { core, db, actor } = await keboolaServer(t);
  const components = await Components.load(path.join(packageRoot, 'components'), folder);
  const { secrets, events } = core;
  const configurations = new Configurations({ db, events, secrets, components });
  const connectors = new Connectors({ components, configurations, secrets });
  const strict = connectors.definition('source', { slug: 'strict' });
  const make = (configuration: ConnectorConfiguration) =>
    connectors.create(actor, strict, { name: 'x', configuration });
  const opened = async (id: string) => (await connectors.open(actor, 'source', id)).configuration;
  const update = (id: string, merge: boolean, configuration: ConnectorConfiguration) =>
    connectors.update(actor, 'source', id, { merge, configuration });
  return { connectors, actor, db, make, opened, update };
}

test('secrets are masked and encrypted wherever the specification has them, and are whole when it runs', async (t) => {
  const { make, opened, db } = await world(t);
  const made = await make(whole);
  assert.deepEqual(made.configuration, {
    ...whole,
    password: MASK,
    credentials: { auth_type: 'token', token: MASK },
    accounts: [
      { name: 'a', key: MASK },
      { name: 'b', key: MASK },
    ],
  });
  assert.deepEqual(await opened(made.id), whole);
  const stored = await db.query(sql`select * from configuration_versions`);
  assert.doesNotMatch(JSON.stringify(stored), /(first|second|third|fourth)-secret/);
});

test('a mask means the stored secret, in a merge and in a replacement; what is left out of a replacement is gone', async (t) => {
  const { make, opened, update } = await world(t);
  const { id, configuration: shown } = await make(whole);
  for (const merge of [true, false]) {
    await update(id, merge, shown);
    assert.deepEqual(await opened(id), whole);
    await update(id, merge, { ...shown, password: '********' });
    assert.deepEqual(await opened(id), whole);
  }
  await update(id, true, { host: 'i', credentials: { token: 'new-secret' } });
  const merged = { ...whole, host: 'i', credentials: { auth_type: 'token', token: 'new-secret' } };
  assert.deepEqual(await opened(id), merged);
  await update(id, false, { host: 'i', password: MASK });
  assert.deepEqual(await opened(id), { host: 'i', password: 'first-secret' });
  await update(id, false, { host: 'i' });
  assert.deepEqual(await opened(id), { host: 'i' });
});

test('what does not fit the specification is refused with the place, and nothing changes', async (t) => {
  const { make, opened, update, connectors, actor } = await world(t);
  const { id } = await make(whole);
  const rows: [ConnectorConfiguration, RegExp][] = [
    [{}, /host/],
    [{ host: 7 }, /\$\.host/],
    [{ host: 'h', port: '5432' }, /\$\.port/],
    [{ host: 'h', port: 0 }, /\$\.port/],
    [{ host: 'h', port: 1.5 }, /\$\.port/],
    [{ host: 'h', password: 'NO' }, /\$\.password/],
    [{ host: 'h', password: 7 }, /\$\.password: a secret must be a text/],
    [{ host: 'h', password: { a: 1 } }, /\$\.password: a secret must be a text/],
    [{ host: 'h', credentials: { auth_type: 'other' } }, /\$\.credentials/],
    [{ host: 'h', credentials: { auth_type: 'word', user: 'u' } }, /\$\.credentials/],
    [{ host: 'h', credentials: 'x' }, /\$\.credentials/],
    // Nothing is stored at that place that the stars could stand for.
    [{ host: 'h', credentials: { auth_type: 'word', user: 'u', word: MASK } }, /\$\.credentials\.word: there is no/],
    [{ host: 'h', accounts: [{ key: MASK }, { key: MASK }, { key: MASK }] }, /\$\.accounts\[2\]\.key: there is no/],
    [{ host: 'h', '#password': 'x' }, /must not begin with "#"/],
  ];
  for (const [configuration, problem] of rows) {
    const check = (error: Error & { code?: string }) => {
      assert.equal(error.code, 'connector.invalid-configuration', JSON.stringify(configuration));
      assert.match(error.message, problem);
      assert.doesNotMatch(error.message, /-secret/);
      return true;
    };
    await assert.rejects(update(id, false, configuration), check);
    await assert.rejects(make(configuration), (error: Error) => !error.message.includes('-secret'));
  }
  assert.deepEqual(await opened(id), whole);
  assert.equal((await connectors.list(actor, 'source')).length, 1);
});

test('changes of different members at the same time are all kept', async (t) => {
  const { make, opened, update } = await world(t);
  const { id } = await make({ host: 'h' });
  const names = Array.from({ length: 12 }, (_, index) => `member${index}`);
  await Promise.all(names.map((name) => update(id, true, { [name]: true })));
  assert.deepEqual(Object.keys(await opened(id)).sort(), ['host', ...names].sort());
});
