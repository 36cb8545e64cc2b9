import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Provisioner } from '../../src/drivers/provisioners/contract.ts';
import { type Scope, suiteScope } from '../support/cleanup.ts';
import { type Need, needs } from '../support/needs.ts';

/** A client of the backend, as somebody outside would use it. */
export type OutsideSession = {
  query(text: string): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
};

export type ProvisionerWorld = {
  provisioner: Provisioner;
  connect(login: { name: string; password: string; database?: string }): Promise<OutsideSession>;
  /** Statements that must all be refused: reading what belongs to somebody else or to the server. */
  forbidden(foreign: { name: string }): string[];
  /** A statement that lists the sessions a login sees, one per row. */
  visibleSessions: string;
  /** As a login changes its own password. */
  changePassword(to: string): string;
  /** Keeps the server busy for half a minute. */
  longQuery: string;
};

const password = 'Abcdefgh12345678';

export type Check<World> = (title: string, body: (world: World) => Promise<void>) => void;

/** What every provisioner must do, whatever database stands behind it: one for all the checks, each in spaces of its own. */
export function provisionerSuite<World extends ProvisionerWorld>(
  kind: string,
  open: (scope: Scope) => Promise<World>,
  options: { need?: Need; further: (check: Check<World>) => void },
): void {
  describe(kind, () => {
    const scope = suiteScope();
    let opened: Promise<World> | undefined;
    const check: Check<World> = (title, body) =>
      test(`${kind}: ${title}`, async (t) => {
        if (options.need && !needs(t, options.need)) return;
        opened ??= open(scope);
        await body(await opened);
      });
    everyProvisioner(check);
    options.further(check);
  });
}

function everyProvisioner(check: Check<ProvisionerWorld>): void {
  let id = 100;
  const make = async ({ provisioner }: ProvisionerWorld) => {
    const name = provisioner.nameFor(++id, 'sandbox');
    await provisioner.ensure({ name, password });
    return name;
  };

  check('a space takes a login from outside, which owns it and nothing else', async (world) => {
    const [mine, foreign] = [await make(world), await make(world)];
    const owner = await world.connect({ name: foreign, password });
    await owner.query('create table secrets (x int)');
    await owner.query('insert into secrets values (1)');
    const session = await world.connect({ name: mine, password });
    await session.query('create table t (id int, name varchar(20))');
    await session.query("insert into t values (1, 'one')");
    await session.query('create view v as select * from t');
    assert.deepEqual(await session.query('select name from v'), [{ name: 'one' }]);
    for (const statement of world.forbidden({ name: foreign }))
      await assert.rejects(session.query(statement), `allowed: ${statement}`);
    await assert.rejects(world.connect({ name: mine, password, database: foreign }), 'entered a foreign database');
    await assert.rejects(world.connect({ name: mine, password: 'wrong' }), 'entered with a wrong password');
    await session.close();
    await owner.close();
  });

  check('the sessions of others are invisible', async (world) => {
    const [mine, foreign] = [await make(world), await make(world)];
    const other = await world.connect({ name: foreign, password });
    const session = await world.connect({ name: mine, password });
    const seen = await session.query(world.visibleSessions);
    assert.equal(seen.length, 1, 'its own is not there, or others are');
    assert.ok(!JSON.stringify(seen).includes(foreign), JSON.stringify(seen));
    await session.close();
    await other.close();
  });

  check('ensuring again keeps the content and the password', async (world) => {
    const name = await make(world);
    const before = await world.connect({ name, password });
    await before.query('create table kept (x int)');
    await world.provisioner.ensure({ name, password });
    assert.deepEqual(await before.query('select * from kept'), []);
    await before.close();
    await (await world.connect({ name, password })).close();
  });

  check('a login that has changed its password counts as gone, and is made whole again', async (world) => {
    const name = await make(world);
    const session = await world.connect({ name, password });
    await session.query('create table kept (x int)');
    await session.query(world.changePassword('Other123'));
    await session.close();
    assert.equal((await world.provisioner.inspect({ name, password })).exists, false);
    await world.provisioner.ensure({ name, password });
    assert.equal((await world.provisioner.inspect({ name, password })).exists, true);
    const again = await world.connect({ name, password });
    assert.deepEqual(await again.query('select * from kept'), []);
    await again.close();
  });

  check('temporary tables belong to one session', async (world) => {
    const name = await make(world);
    const [one, other] = [await world.connect({ name, password }), await world.connect({ name, password })];
    await one.query('create temporary table scratch (x int)');
    await one.query('insert into scratch values (7)');
    assert.deepEqual(await one.query('select x from scratch'), [{ x: 7 }]);
    await assert.rejects(other.query('select x from scratch'));
    await one.close();
    await other.close();
  });

  check('one login cannot take all connections of the server', async (world) => {
    const [greedy, other] = [await make(world), await make(world)];
    const sessions: OutsideSession[] = [];
    for (let i = 0; i < 20; i++) sessions.push(await world.connect({ name: greedy, password }));
    await assert.rejects(world.connect({ name: greedy, password }));
    await (await world.connect({ name: other, password })).close();
    await world.provisioner.kill(greedy);
    await (await world.connect({ name: greedy, password })).close();
  });

  check('it is in use while a session is open and not after', async (world) => {
    const name = await make(world);
    assert.deepEqual(await world.provisioner.inspect({ name, password }), { exists: true, isInUse: false });
    const session = await world.connect({ name, password });
    assert.equal((await world.provisioner.inspect({ name, password })).isInUse, true);
    await session.close();
    for (let tries = 0; (await world.provisioner.inspect({ name, password })).isInUse && tries < 100; tries++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await world.provisioner.inspect({ name, password })).isInUse, false);
  });

  check('a kill ends every session of the space and no other', async (world) => {
    const [name, other] = [await make(world), await make(world)];
    const sessions = [await world.connect({ name, password }), await world.connect({ name, password })];
    const untouched = await world.connect({ name: other, password });
    const [busy] = sessions;
    const cut = assert.rejects(busy?.query(world.longQuery) ?? Promise.resolve(), 'a running statement lives on');
    await world.provisioner.kill(name);
    await cut;
    assert.equal((await world.provisioner.inspect({ name, password })).isInUse, false);
    for (const session of sessions) await assert.rejects(session.query('select 1'));
    assert.equal((await untouched.query('select 1 as one')).length, 1);
    await untouched.close();
    const again = await world.connect({ name, password });
    await again.close();
  });

  check('a kill returns although somebody connects again and again', async (world) => {
    const name = await make(world);
    let isStopped = false;
    const stubborn = async () => {
      while (!isStopped) await world.connect({ name, password }).catch(() => undefined);
    };
    await world.connect({ name, password });
    const clients = [stubborn(), stubborn()];
    await world.provisioner.kill(name);
    await world.provisioner.destroy(name);
    isStopped = true;
    await Promise.all(clients);
    assert.deepEqual(await world.provisioner.inspect({ name, password }), { exists: false, isInUse: false });
  });

  check('destroying ends sessions, leaves nothing, and may be repeated', async (world) => {
    const name = await make(world);
    const session = await world.connect({ name, password });
    await session.query('create table t (x int)');
    await world.provisioner.destroy(name);
    await world.provisioner.destroy(name);
    await assert.rejects(session.query('select 1'));
    await assert.rejects(world.connect({ name, password }));
    assert.deepEqual(await world.provisioner.inspect({ name, password }), { exists: false, isInUse: false });
    await world.provisioner.ensure({ name, password });
    const fresh = await world.connect({ name, password });
    await assert.rejects(fresh.query('select * from t'), 'the old content is still there');
    await fresh.close();
  });
}
