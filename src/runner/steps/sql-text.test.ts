import assert from 'node:assert/strict';
import { test } from 'node:test';
import { excerpt, isQuery, splitStatements } from './sql-text.ts';

test('scripts are cut at semicolons that are not text, and lose their comments', () => {
  const rows: [string, string[]][] = [
    ['', []],
    [' ; ;; -- nothing', []],
    ['CREATE TABLE a AS SELECT 1; DROP TABLE a', ['CREATE TABLE a AS SELECT 1', 'DROP TABLE a']],
    ['INSERT INTO a VALUES (\';--\', "x;y")', ['INSERT INTO a VALUES (\';--\', "x;y")']],
    ["SELECT 'it''s;' ;x", ["SELECT 'it''s;'", 'x']],
    ["SELECT E'a\\';b';x", ["SELECT E'a\\';b'", 'x']],
    ['SELECT $$a;b$$;SELECT $t$ $$;$$ $t$', ['SELECT $$a;b$$', 'SELECT $t$ $$;$$ $t$']],
    ['a /* x; /* y; */ z */ b;c', ['a   b', 'c']],
    ['a -- x;y\n b', ['a  \n b']],
    ['/* only */', []],
    ["SELECT 'open", ["SELECT 'open"]],
  ];
  for (const [script, statements] of rows) assert.deepEqual(splitStatements(script), statements, script);
});

test('only a bare query is passed over', () => {
  assert.equal(isQuery('select 1'), true);
  assert.equal(isQuery('SELECTED'), false);
  assert.equal(isQuery('WITH a AS (SELECT 1) SELECT * FROM a'), false);
});

test('long statements are shown by their ends', () => {
  assert.equal(excerpt('x'.repeat(1000)).length, 1000);
  assert.equal(excerpt(`${'a'.repeat(600)}${'b'.repeat(600)}`), `${'a'.repeat(500)}\n...\n${'b'.repeat(500)}`);
});
