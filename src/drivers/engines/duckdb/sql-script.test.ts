import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedTables, splitStatements, statementRole } from './sql-script.ts';

const texts = (sql: string) => splitStatements(sql).map((statement) => statement.text);
const roles = (sql: string) => splitStatements(sql).map(statementRole);
const changed = (sql: string) =>
  splitStatements(sql)
    .flatMap(changedTables)
    .map(({ name }) => name);

test('statements end at a semicolon, not at one inside text, names or comments', () => {
  assert.deepEqual(
    texts(
      `SELECT ';'; SELECT ";" -- ;\n; SELECT $$;$$; SELECT $a$;$$;$a$; SELECT E'\\';' ; /* ; /* ; */ ; */ SELECT 'a'';'`,
    ),
    [
      `SELECT ';'`,
      `SELECT ";" -- ;`,
      'SELECT $$;$$',
      'SELECT $a$;$$;$a$',
      `SELECT E'\\';'`,
      `/* ; /* ; */ ; */ SELECT 'a'';'`,
    ],
  );
  assert.deepEqual(texts(' ; ;; -- nothing\n /* at all */ ; '), []);
});

test('only what is known to stay inside is allowed', () => {
  assert.deepEqual(roles('select 1; (select 1); from t; with a as (select 1) select * from a'), [
    'query',
    'query',
    'query',
    'query',
  ]);
  assert.deepEqual(roles('create table t as select 1; update t set a = 1; set variable x = 1; reset variable x'), [
    'change',
    'change',
    'change',
    'change',
  ]);
  assert.deepEqual(roles('with a as (select 1) insert into t select * from a'), ['change']);
  const refused = `copy t to 'x'; attach 'x'; set threads = 1; pragma x; call x(); explain select 1; create secret s (type s3);
    create or replace persistent secret s (type s3); load x; install x; use x; export database 'x'; 'x'; "select" 1; 1`;
  for (const statement of splitStatements(refused)) assert.equal(statementRole(statement), 'refused', statement.text);
});

test('the table a statement changes is found, whatever stands around its name', () => {
  assert.deepEqual(changed('INSERT INTO t VALUES (1); INSERT OR REPLACE INTO main."My T" SELECT 1'), ['T', 'My T']);
  assert.deepEqual(changed('DELETE FROM a.b.c USING x; TRUNCATE TABLE t; TRUNCATE u'), ['C', 'T', 'U']);
  assert.deepEqual(changed('DROP TABLE IF EXISTS t; ALTER TABLE "x""y" ADD COLUMN a INT'), ['T', 'x"y']);
  assert.deepEqual(changed('CREATE OR REPLACE TEMP TABLE t AS SELECT 1; WITH a AS (SELECT 1) UPDATE t SET x = 1'), [
    'T',
    'T',
  ]);
  assert.deepEqual(changed('SELECT 1 FROM t'), []);
});
