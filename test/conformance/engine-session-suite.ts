import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Engine, Session, SessionSpec } from '../../src/drivers/engines/contract.ts';
import { cleanup } from '../support/cleanup.ts';
import { isError } from './engine-suite.ts';
import { EngineTable, sorted, temporaryFolder } from './engine-world.ts';

/** What the SQL sessions of an engine have to do, where it has any. */
export function engineSessionsConformance(name: string, open: (t: TestContext) => Promise<Engine>): void {
  const the = (behaviour: string, body: (engine: Engine, t: TestContext) => Promise<void>) =>
    test(`engine ${name} sessions: ${behaviour}`, async (t) => body(await open(t), t));

  let opened = 0;
  const session = async (
    engine: Engine,
    t: TestContext,
    tables: SessionSpec['tables'] = [],
    options: Partial<SessionSpec> = {},
  ): Promise<Session & { folder: string }> => {
    opened += 1;
    const folder = options.workDirectory ?? (await temporaryFolder(t));
    const spec: SessionSpec = {
      sessionId: `s${opened}`,
      tables,
      workDirectory: folder,
      memoryLimitMb: 300,
      ...options,
    };
    const made = await engine.sessions!.open(spec);
    cleanup(t, () => made.close());
    return { ...made, folder };
  };

  const input = async (engine: Engine, t: TestContext, names = ['Id', 'name']) => {
    const table = await EngineTable.make(engine, t, names);
    await table.import({ content: '1,x\n2,"y\ny"\n3,\n', primaryKey: [1], mode: 'upsert' });
    await table.import({ content: '3,z\n', primaryKey: [1], mode: 'upsert' });
    const columns = table.userFieldIds.map((fieldId, index) => ({ fieldId, name: names[index]! }));
    return { table, columns };
  };

  the('inputs in, statements, tables out', async (engine, t) => {
    const { table, columns } = await input(engine, t);
    const sql = await session(engine, t, [{ name: 'in', version: table.version, columns }]);
    await sql.run(`
      -- a comment; with a semicolon
      CREATE TABLE "out" AS SELECT "Id"::INT AS id, upper(name) AS name, 'a;b' AS t, "Id" = '1' AS first FROM "in"; /* and ; one */
      INSERT INTO "out" VALUES (4, NULL, '', false);
      CREATE VIEW v AS SELECT count(*) AS n FROM "out";
    `);
    assert.deepEqual(await sql.describe('OUT'), [
      { name: 'id', type: 'INTEGER', nullable: true },
      { name: 'name', type: 'VARCHAR', nullable: true },
      { name: 't', type: 'VARCHAR', nullable: true },
      { name: 'first', type: 'BOOLEAN', nullable: true },
    ]);
    assert.equal((await sql.describe('v'))?.length, 1);
    assert.equal(await sql.describe('nothing'), undefined);
    const exported = await sql.exportTable('out');
    assert.equal(exported.rows, 4);
    assert.equal(path.dirname(exported.path), sql.folder);
    const result = await EngineTable.make(engine, t, ['id', 'name', 't', 'first']);
    const named = ['id', 'name', 't', 'first'].map((column, index) => ({ name: column, fieldId: index + 1 }));
    await result.import({ source: { kind: 'parquet', paths: [exported.path], columns: named } });
    assert.deepEqual(
      await result.sortedRows(),
      sorted([
        ['1', 'X', 'a;b', 'true'],
        ['2', 'Y\nY', 'a;b', 'false'],
        ['3', 'Z', 'a;b', 'false'],
        ['4', '', '', 'false'],
      ]),
    );
    await assert.rejects(sql.exportTable('nothing'), isError('invalid', 'sql.table-missing'));
  });

  the('an input can be changed, the table in storage stays', async (engine, t) => {
    const { table, columns } = await input(engine, t);
    const changes: [string, string][] = [
      [
        `UPDATE t SET name = 'new' WHERE "Id" = '1'`,
        `select count(*) = 3 and count(*) filter (name = 'new') = 1 from t`,
      ],
      [`DELETE FROM "T" WHERE "Id" <> '1'`, 'select count(*) = 1 from t'],
      [`INSERT INTO main.t VALUES ('9', 'z')`, 'select count(*) = 4 from t'],
      ['ALTER TABLE t ADD COLUMN more INT', 'select count(more) = 0 and count(*) = 3 from t'],
      ['TRUNCATE t', 'select count(*) = 0 from t'],
      [`CREATE OR REPLACE TABLE t AS SELECT "Id", name, 1 AS x FROM t WHERE "Id" > '1'`, 'select sum(x) = 2 from t'],
      [`DROP TABLE t; CREATE TABLE t AS SELECT 5 AS x`, 'select max(x) = 5 from t'],
      [`MERGE INTO t USING (SELECT '1' AS k) s ON t."Id" = s.k WHEN MATCHED THEN DELETE`, 'select count(*) = 2 from t'],
      [`WITH gone AS (SELECT '2' AS k) DELETE FROM t WHERE "Id" IN (SELECT k FROM gone)`, 'select count(*) = 2 from t'],
      [`CREATE OR REPLACE VIEW t AS SELECT 7 AS x`, 'select max(x) = 7 from t'],
    ];
    for (const [change, check] of changes) {
      const sql = await session(engine, t, [{ name: 't', version: table.version, columns }]);
      await sql.run(change);
      await sql
        .run(`CREATE TABLE verdict AS SELECT CASE WHEN (${check}) THEN 1 ELSE error('not as expected') END AS ok`)
        .catch((error) => {
          throw new Error(`${change}: ${error.message}`);
        });
      await sql.close();
    }
    assert.equal((await table.rows()).length, 3);
  });

  the('an empty table is an input too', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a']);
    const sql = await session(engine, t, [{ name: 'e', version: table.version, columns: [{ fieldId: 1, name: 'a' }] }]);
    await sql.run('CREATE TABLE o AS SELECT a FROM e');
    assert.equal((await sql.exportTable('o')).rows, 0);
  });

  the("the text of an error is the database's own, and tells no paths of the server", async (engine, t) => {
    const { table, columns } = await input(engine, t);
    const sql = await session(engine, t, [{ name: 't', version: table.version, columns }]);
    await assert.rejects(sql.run('CREATE TABLE x AS SELECT nope FROM t'), isError('invalid', 'sql.failed', /nope/));
    await assert.rejects(sql.run('SELEC 1'), isError('invalid', 'sql.failed', /syntax error at or near "SELEC"/));
    await assert.rejects(sql.run('CREATE TABLE x AS SELEC 1'), isError('invalid', 'sql.failed', /syntax/i));
    await assert.rejects(sql.run('SELECT missing FROM t'), isError('invalid', 'sql.failed', /missing/));
    await assert.rejects(sql.run(`CREATE TABLE y AS SELECT CAST(name AS INT) FROM t`), (error) => {
      isError('invalid', 'sql.failed', /Could not convert/)(error);
      assert.ok(!JSON.stringify(error).includes(table.folder));
      return true;
    });
    await sql.run('CREATE TABLE still AS SELECT 1 AS fine');
  });

  the('statements that reach outside are refused', async (engine, t) => {
    const { table, columns } = await input(engine, t);
    const sql = await session(engine, t, [{ name: 't', version: table.version, columns }]);
    const file = table.version.files[0]!.path;
    const out = path.join(sql.folder, 'out.csv');
    const refused = [
      `COPY t TO '${out}'`,
      `COPY t FROM '${file}'`,
      `EXPORT DATABASE '${sql.folder}'`,
      `IMPORT DATABASE '${sql.folder}'`,
      `ATTACH '${out}.db' AS other`,
      'DETACH memory',
      'LOAD httpfs',
      'INSTALL httpfs',
      'SET threads = 1',
      'RESET threads',
      'PRAGMA threads = 1',
      'PRAGMA version',
      'CALL pragma_version()',
      'PREPARE p AS SELECT 1',
      'EXECUTE p',
      'CHECKPOINT',
      `EXPLAIN COPY t TO '${out}'`,
      'EXPLAIN ANALYZE SELECT 1',
      'CREATE SECRET s (TYPE s3)',
      'CREATE OR REPLACE PERSISTENT SECRET s (TYPE s3)',
      'USE memory',
      'FORCE INSTALL httpfs',
      'UPDATE EXTENSIONS',
      `/* x */ ; ; (COPY t TO '${out}')`,
      `SELECT 1; COPY t TO '${out}'`,
      `SELECT $$;$$; COPY t TO '${out}'`,
      `SELECT E'\\'; ' ; COPY t TO '${out}'`,
      'SET lock_configuration = false',
      'SET VARIABLE x = 1; SET GLOBAL threads = 1',
    ];
    for (const statement of refused) {
      await assert.rejects(sql.run(statement), (error) => {
        const { code } = error as { code: string };
        assert.ok(code === 'sql.refused' || code === 'sql.failed', `${statement}: ${String(error)}`);
        return true;
      });
    }
    const failing = [
      `SELECT * FROM read_csv('/etc/passwd')`,
      `SELECT * FROM read_text('/etc/passwd')`,
      `SELECT * FROM glob('/*')`,
      `CREATE TABLE x AS SELECT * FROM '/etc/passwd'`,
      `CREATE TABLE x AS SELECT * FROM read_blob('/proc/self/environ')`,
      `CREATE TABLE x AS SELECT * FROM read_csv('http://127.0.0.1:9/x')`,
      `CREATE TABLE x AS SELECT * FROM read_parquet('${path.dirname(file)}/*')`,
      `CREATE TABLE x AS SELECT * FROM query('COPY t TO ''${out}''')`,
      `CREATE TABLE x AS SELECT getenv('HOME')`,
    ];
    for (const statement of failing) {
      await assert.rejects(sql.run(statement), isError('invalid', 'sql.failed'), statement);
    }
    assert.deepEqual(await readdir(sql.folder), []);
    assert.equal((await table.rows()).length, 3);
  });

  the('variables, macros, sequences, types, schemas and transactions work', async (engine, t) => {
    const sql = await session(engine, t);
    await sql.run(`
      SET VARIABLE cut = 3; CREATE MACRO twice(x) AS x * 2; CREATE SEQUENCE s START 7; CREATE TYPE mood AS ENUM ('ok', 'bad');
      CREATE SCHEMA more; BEGIN; CREATE TABLE more.a AS SELECT 1 AS x; COMMIT; BEGIN; DROP TABLE more.a; ROLLBACK;
      CREATE TABLE o AS SELECT twice(x) + getvariable('cut') + nextval('s') AS n, 'ok'::mood AS m FROM more.a;
      CREATE TABLE p AS PIVOT (SELECT 'k' AS k, 1 AS v) ON k USING sum(v);
      ANALYZE; COMMENT ON TABLE o IS 'x';
      WITH a AS (SELECT 1) SELECT * FROM a; FROM o; VALUES (1); SHOW TABLES; DESCRIBE o; SUMMARIZE o; TABLE o;
    `);
    assert.equal((await sql.exportTable('o')).rows, 1);
    assert.deepEqual(
      (await sql.describe('p'))?.map((column) => column.name),
      ['k'],
    );
  });

  the('memory is limited: the statement fails, the next session is not touched', async (engine, t) => {
    const workDirectory = await temporaryFolder(t);
    await mkdir(workDirectory, { recursive: true });
    const sql = await session(engine, t, [], { workDirectory, memoryLimitMb: 100 });
    const hungry = `CREATE TABLE x AS SELECT list(i::VARCHAR || repeat('x', 100)) AS l FROM range(20000000) t(i)`;
    await assert.rejects(sql.run(hungry), isError('invalid', 'sql.out-of-memory', /memory/i));
    const other = await session(engine, t);
    await other.run('CREATE TABLE o AS SELECT 1 AS x');
  });

  the('a running statement is stopped by its signal, the session lives on', async (engine, t) => {
    const sql = await session(engine, t);
    const abort = new AbortController();
    const running = sql.run(
      'CREATE TABLE x AS SELECT sum(a.i * b.i) AS s FROM range(10000000) a(i), range(10000) b(i)',
      abort.signal,
    );
    const started = Date.now();
    setTimeout(() => abort.abort(new Error('stop it')), 100);
    await assert.rejects(running, /stop it/);
    assert.ok(Date.now() - started < 5000);
    await sql.run('CREATE TABLE y AS SELECT 1 AS x');
  });

  the('a closed session fails its running statement and leaves nothing behind', async (engine, t) => {
    const sql = await session(engine, t);
    const running = sql.run(
      'CREATE TABLE x AS SELECT sum(a.i * b.i) AS s FROM range(10000000) a(i), range(10000) b(i)',
    );
    setTimeout(() => void sql.close(), 50);
    await assert.rejects(running, isError('unavailable', 'session.ended'));
    assert.deepEqual(await readdir(sql.folder), []);
  });
}
