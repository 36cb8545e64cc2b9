import assert from 'node:assert/strict';
import { Readable, Writable } from 'node:stream';
import type { SpaceLoad, SpaceTableLoad, SpaceTables } from '../../src/drivers/provisioners/contract.ts';
import type { Check, ProvisionerWorld } from './provisioner-suite.ts';

const password = 'Abcdefgh12345678';
const never = new AbortController().signal;

/** What every provisioner must do that moves rows. `firstId` starts numbers that no other space has. */
export function spaceTablesSuite(check: Check<ProvisionerWorld>, firstId: number): void {
  let id = firstId;
  const make = async ({ provisioner, connect }: ProvisionerWorld) => {
    const space = { name: provisioner.nameFor(++id, 'sandbox'), password };
    await provisioner.ensure(space);
    assert.ok(provisioner.tables);
    const session = await connect(space);
    return { space, session, tables: provisioner.tables };
  };
  const load = (tables: SpaceTables, space: { name: string; password: string }, part: Partial<SpaceLoad>) =>
    tables.load(space, { keep: true, tables: [], beforeCommit: async () => {}, ...part }, never);

  check('rows go in and come out as they were: quotes, line breaks, empty texts and none', async (world) => {
    const { space, session, tables } = await make(world);
    const csv = '"1","a ""b""\n\\."\n"2",""\n"3",\n';
    assert.deepEqual(await load(tables, space, { tables: [tableOf('t', csv)] }), [3]);
    assert.deepEqual(await unloaded(tables, space, 't', ['id', 'text']), csv);
    assert.deepEqual(
      (await tables.describe(space, 't'))?.map(({ name }) => name),
      ['id', 'text'],
    );
    assert.equal(await tables.describe(space, 'nothing'), undefined);
    assert.deepEqual(await tables.list(space), [{ name: 't', type: 'table' }]);
    await tables.drop(space, ['t', 'nothing']);
    assert.deepEqual(await tables.list(space), []);
    await session.close();
  });

  check('a load whose end is not wanted leaves nothing, and says so later', async (world) => {
    const { space, session, tables } = await make(world);
    await session.query('create table kept (x int)');
    const seen: string[] = [];
    const refused = load(tables, space, {
      keep: false,
      tables: [tableOf('t', '"1","a"\n')],
      beforeCommit: async (transaction, rows) => {
        seen.push(transaction);
        assert.deepEqual(rows, [1]);
        throw new Error('the job is somebody else now');
      },
    });
    await assert.rejects(refused, /somebody else/);
    assert.equal(await tables.outcomeOf(space, seen[0] ?? ''), 'aborted');
    assert.deepEqual(await tables.list(space), [{ name: 'kept', type: 'table' }]);

    const beforeCommit = async (transaction: string) => void seen.push(transaction);
    await load(tables, space, { keep: false, tables: [tableOf('t', '"1","a"\n')], beforeCommit });
    assert.equal(await tables.outcomeOf(space, seen[1] ?? ''), 'committed');
    assert.deepEqual(await tables.list(space), [{ name: 't', type: 'table' }]);
    await session.close();
  });

  check('a load that is killed or aborted in the middle leaves nothing', async (world) => {
    const { space, session, tables } = await make(world);
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    async function* endless() {
      for (let i = 0; ; i++) {
        yield Buffer.from(`"${i}","some text"\n`.repeat(1000));
        if (i === 5) begin();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    const table = { ...tableOf('t', ''), rows: async () => Readable.from(endless()) };
    const killed = load(tables, space, { tables: [table] });
    killed.catch(() => undefined);
    await begun;
    await world.provisioner.kill(space.name);
    await assert.rejects(killed, { kind: 'unavailable' });

    const stop = new AbortController();
    const aborted = tables.load(space, { keep: true, tables: [table], beforeCommit: async () => {} }, stop.signal);
    setTimeout(() => stop.abort(new Error('enough')), 100);
    await assert.rejects(aborted, /enough/);
    assert.deepEqual(await tables.list(space), []);
    await session.close().catch(() => undefined);
  });

  check('a space that is gone is not found', async (world) => {
    const { space, session, tables } = await make(world);
    await session.close();
    await world.provisioner.destroy(space.name);
    await assert.rejects(tables.list(space), { kind: /^(not-found|invalid)$/ });
  });
}

function tableOf(name: string, csv: string): SpaceTableLoad {
  const column = { type: undefined, length: undefined, nullable: true, emptyAsNull: false };
  return {
    name,
    mode: 'create',
    columns: ['id', 'text'].map((one) => ({ ...column, name: one })),
    primaryKey: [],
    rows: async () => Readable.from([Buffer.from(csv)]),
  };
}

async function unloaded(
  tables: SpaceTables,
  space: { name: string; password: string },
  name: string,
  columns: string[],
) {
  const chunks: Buffer[] = [];
  const into = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  await tables.unload(space, { name, columns }, into, never);
  return Buffer.concat(chunks).toString();
}
