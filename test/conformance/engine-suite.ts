import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { AppError, type ErrorKind } from '../../src/core/errors.ts';
import type { Engine } from '../../src/drivers/engines/contract.ts';
import { csvFormat, EngineTable, quoted, sorted } from './engine-world.ts';

export const isError =
  (kind: ErrorKind, code: string, message = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof AppError, String(error));
    assert.equal(error.code, code, error.message);
    assert.equal(error.kind, kind);
    assert.match(error.message, message);
    return true;
  };

/** What every engine has to do with tables. `open` gives the engine of this run: it is shared by the tests. */
export function engineTablesConformance(name: string, open: (t: TestContext) => Promise<Engine>): void {
  const the = (behaviour: string, body: (engine: Engine, t: TestContext) => Promise<void>) =>
    test(`engine ${name}: ${behaviour}`, async (t) => body(await open(t), t));

  the('passes its own check and states its facts', async (engine) => {
    await engine.check();
    assert.ok(engine.facts.identifierMaxBytes > 0);
    assert.ok(engine.facts.importFormats.includes('csv'));
    assert.ok(engine.facts.exportFormats.includes('csv'));
  });

  the('every value comes back as it went in', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    const values = [
      '',
      ' ',
      'NULL',
      'null',
      '\\N',
      'NA',
      'nan',
      'true',
      '0012',
      '1e5',
      '2024-01-01',
      '-',
      "'",
      '"',
      '""',
      '"a"b"',
      ',',
      ';',
      '\t',
      '\n',
      '\r\n',
      '\r',
      'a\nb',
      '\na,"b"\n',
      ' lead',
      'trail ',
      'č',
      '北京',
      '👩‍👩‍👧',
      'é',
      '\u00a0',
      '\u2028',
      '\\',
      '\\"',
      '#x',
      '%',
      '--',
      ';DROP',
      '\u0001',
      'a\u0000b',
      '\ufeff',
      'x'.repeat(70_000),
    ];
    const rows = values.map((value, index) => [String(index), value]);
    await table.import({ content: quoted(rows) });
    assert.deepEqual(sorted(await table.rows()), sorted(rows));
    assert.deepEqual(sorted(await table.rows({}, true)), sorted(rows));
    const preview = await engine.tables.preview(table.request());
    assert.deepEqual(sorted(preview as string[][]), sorted(rows));
  });

  the('round trip of anything (property)', async (engine, t) => {
    const cell = fc.oneof(
      {
        weight: 3,
        arbitrary: fc
          .array(fc.constantFrom('"', ',', '\n', '\r\n', '\r', 'a', 'č', '北', ' ', '\\', '1', ''), { maxLength: 12 })
          .map((x) => x.join('')),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'binary' }).map((text) => Buffer.from(text, 'utf8').toString('utf8')) },
    );
    const rowsOf = fc
      .integer({ min: 1, max: 4 })
      .chain((width) =>
        fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 30 }),
      );
    const property = fc.asyncProperty(
      rowsOf,
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      fc.boolean(),
      async (rows, newLine, bare, finalNewLine) => {
        const table = await EngineTable.make(
          engine,
          t,
          rows[0]!.map((_, index) => `c${index}`),
        );
        // Like most writers: quotes only where they are needed.
        const write = (value: string) =>
          bare && value !== '' && !/["\r\n, ]/.test(value) && !value.startsWith('\ufeff')
            ? value
            : `"${value.replaceAll('"', '""')}"`;
        const content = rows.map((row) => row.map(write).join(',')).join(newLine) + (finalNewLine ? newLine : '');
        await table.import({ content });
        assert.deepEqual(sorted(await table.rows()), sorted(rows));
      },
    );
    await fc.assert(property, { numRuns: Number(process.env.MILLRACE_FUZZ_RUNS ?? 60), endOnFailure: true });
  });

  the('quoted text that looks like rows is not split, however large the file', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b', 'c']);
    const traps = ['\n1,2,3\n4,5,6\n', '"a","b","c"\n'.repeat(400), 'x,y,z\n'.repeat(900), '","', '"\n"', '\n', ''];
    const rows = Array.from({ length: 6000 }, (_, index) => [
      String(index),
      traps[index % traps.length]!,
      traps[(index * 5) % 7]!,
    ]);
    const content = quoted(rows);
    assert.ok(content.length > 12_000_000);
    await table.import({ content });
    assert.deepEqual(sorted(await table.rows()), sorted(rows));
  });

  the('line ends may be mixed, a lone carriage return is data', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    await table.import({ content: 'a,b\r\nc,"d"\ne,f\rg\n"x\r\ny",z\r\n' });
    assert.deepEqual(
      await table.sortedRows(),
      sorted([
        ['a', 'b'],
        ['c', 'd'],
        ['e', 'f\rg'],
        ['x\r\ny', 'z'],
      ]),
    );
  });

  the(
    'header, skipped lines, byte order mark, blank lines and a missing last line end are understood',
    async (engine, t) => {
      const cases: [string, Parameters<EngineTable['import']>[0]['csv']][] = [
        ['\ufeff"i","n"\n1,x\n', { hasHeader: true }],
        ['\ufeff1,x', {}],
        ['made "by hand\n\nid,name\r\n1,x\r\n', { hasHeader: true, skipLines: 2 }],
        ['1,x\n\n\n', {}],
        ['"i\nd",n\n1,x', { hasHeader: true }],
        ['1;x\n', { delimiter: ';' }],
        ["1\t'x'\n", { delimiter: '\t', enclosure: "'" }],
        ['1|x\n', { delimiter: '|', enclosure: '' }],
      ];
      for (const [content, csv] of cases) {
        const table = await EngineTable.make(engine, t, ['id', 'name']);
        const change = await table.import({ content, ...(csv && { csv }) });
        assert.deepEqual(await table.rows(), [['1', 'x']], JSON.stringify(content));
        assert.equal(change.sourceRows, 1);
        assert.equal(change.totalRows, 1);
      }
    },
  );

  the('raw mode keeps quotes, an escape character is decoded inside and outside quotes', async (engine, t) => {
    const raw = await EngineTable.make(engine, t, ['a', 'b']);
    await raw.import({ content: '"x|y"\n""|\n', csv: { delimiter: '|', enclosure: '' } });
    assert.deepEqual(
      await raw.sortedRows(),
      sorted([
        ['"x', 'y"'],
        ['""', ''],
      ]),
    );
    const escaped = await EngineTable.make(engine, t, ['a', 'b']);
    await escaped.import({ content: 'a\\,b,"c\\"d"\n\\\\,"\\\\"\n"new\nline",x\\\ny\n', csv: { escapedBy: '\\' } });
    assert.deepEqual(
      await escaped.sortedRows(),
      sorted([
        ['a,b', 'c"d'],
        ['\\', '\\'],
        ['new\nline', 'x\ny'],
      ]),
    );
  });

  the('readHeader gives the raw cells of the first record', async (engine, t) => {
    const table = await EngineTable.make(engine, t, []);
    const header = async (content: (string | Buffer)[], csv = {}) => {
      const paths = await Promise.all(content.map((item) => table.file(item)));
      return await engine.tables.readHeader({ paths, format: { ...csvFormat, ...csv } });
    };
    assert.deepEqual(await header(['\ufeff"a ""b""", c ,"d\ne"\r\n1,2,3\n']), ['a "b"', ' c ', 'd\ne']);
    assert.deepEqual(await header(['', 'Id,id']), ['Id', 'id']);
    assert.deepEqual(await header([gzipSync('č;x\n')], { compression: 'gzip', delimiter: ';' }), ['č', 'x']);
    assert.deepEqual(await header(['one\ntwo\nx,y\n'], { skipLines: 2 }), ['x', 'y']);
    assert.equal(await header(['', '']), undefined);
    assert.equal(await header([]), undefined);
    await assert.rejects(header(['a,b\rc,d\r']), isError('invalid', 'csv.cr-only'));
    await assert.rejects(header([Buffer.from('a\xff,b\n', 'latin1')]), isError('invalid', 'csv.encoding'));
    await assert.rejects(header([Buffer.from('\ufeffa,b\n', 'utf16le')]), isError('invalid', 'csv.encoding'));
    await assert.rejects(header(['"a,b\n']), isError('invalid', 'csv.unterminated-quote'));
    await assert.rejects(header(['no gzip'], { compression: 'gzip' }), isError('invalid', 'csv.gzip-broken'));
  });

  the('slices, empty slices and gzip are one source', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    const slices = ['1,x\n', '', '2,y\r\n3,z\r\n', '4,"w\nw"'].map((text) => (text === '' ? text : gzipSync(text)));
    const change = await table.import({ content: slices, csv: { compression: 'gzip' } });
    assert.equal(change.sourceRows, 4);
    assert.deepEqual(await table.sortedRows(), [
      ['1', 'x'],
      ['2', 'y'],
      ['3', 'z'],
      ['4', 'w\nw'],
    ]);
  });

  the('no rows write no file', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    for (const primaryKey of [[], [1]]) {
      for (const content of [[], [''], ['a,b\n'], ['a,b', '']]) {
        const change = await table.write({ content, csv: { hasHeader: true }, primaryKey, mode: 'replace' });
        assert.deepEqual(change.addedFiles, [], JSON.stringify(content));
        assert.equal(change.totalRows, 0);
      }
    }
    assert.deepEqual(await readdir(table.data), []);
    assert.deepEqual(await table.rows(), []);
    assert.deepEqual(await engine.tables.preview(table.request()), []);
  });

  the('columns are found by field id: dropped, missing, reordered, differing in case only', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['Id', 'we"ird.name', 'missing', 'Ж']);
    // Engines that ignore case get names that do not clash; here the file name differs from the field on purpose.
    await table.import({ content: '1,drop,2,3\n', fieldIds: [4, null, 1, 2] });
    assert.deepEqual(await table.rows(), [['2', '3', '', '1']]);
    assert.deepEqual(await table.rows({ columns: [4, 1] }), [['1', '2']]);
    table.addColumn('later');
    assert.deepEqual(await table.rows(), [['2', '3', '', '1', '']]);
    assert.deepEqual(await table.rows({ columns: [5], filter: { field: '5', op: 'eq', values: [''] } }), [['']]);
    await table.import({ content: 'a,b,c,d,e\n' });
    assert.deepEqual(
      await table.sortedRows(),
      sorted([
        ['2', '3', '', '1', ''],
        ['a', 'b', 'c', 'd', 'e'],
      ]),
    );
  });

  the('1,200 columns and cells of 10 MB survive', async (engine, t) => {
    const names = Array.from({ length: 1200 }, (_, index) => `column ${index}`);
    const wide = await EngineTable.make(engine, t, names);
    const rows = Array.from({ length: 20 }, (_, row) => names.map((_name, index) => `${row}"${index}`));
    const change = await wide.import({ content: quoted(rows) });
    assert.equal(change.addedFiles[0]!.statistics.length, 1201);
    assert.deepEqual(await wide.sortedRows(), sorted(rows));
    const large = await EngineTable.make(engine, t, ['id', 'text']);
    const text = 'line "x",\n'.repeat(1_000_000);
    await large.import({
      content: quoted([
        ['1', 'small'],
        ['2', text],
        ['3', ''],
      ]),
    });
    assert.deepEqual(await large.sortedRows(), [
      ['1', 'small'],
      ['2', text],
      ['3', ''],
    ]);
    assert.deepEqual(
      await engine.tables.preview(large.request({ cellCharacters: 6, orderBy: [{ field: '1', direction: 'asc' }] })),
      [
        ['1', 'small'],
        ['2', 'line "'],
        ['3', ''],
      ],
    );
  });

  the('written files carry what the catalogue needs', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['k', 'v']);
    const change = await table.import({ content: 'b,\na,x\n' });
    const [file] = change.addedFiles;
    assert.ok(file);
    assert.ok(path.basename(file.path).startsWith('part-'));
    assert.equal(path.dirname(file.path), table.data);
    const bytes = await readFile(file.path);
    assert.equal(file.fileSizeBytes, bytes.length);
    assert.equal(file.footerSize, bytes.readUInt32LE(bytes.length - 8));
    assert.equal(file.recordCount, 2);
    const [k, v, timestamp] = file.statistics;
    assert.deepEqual(
      { ...k, columnSizeBytes: 0 },
      { fieldId: 1, columnSizeBytes: 0, valueCount: 2, nullCount: 0, minValue: 'a', maxValue: 'b' },
    );
    assert.deepEqual([v?.minValue, v?.maxValue, v?.valueCount], ['', 'x', 2]);
    assert.deepEqual(
      [timestamp?.fieldId, timestamp?.minValue, timestamp?.maxValue],
      [9000, '2026-01-01 00:00:00', '2026-01-01 00:00:00'],
    );
    const nul = await table.write({ content: Buffer.from('a\0,x\n') });
    assert.equal(nul.addedFiles[0]!.statistics[0]!.minValue, null);
  });

  the('the last row of a key wins, in the file and across slices', async (engine, t) => {
    for (const mode of ['replace', 'append', 'upsert'] as const) {
      const table = await EngineTable.make(engine, t, ['k1', 'k2', 'v']);
      const change = await table.import({
        content: ['a,,1\na,x,1\na,,2\n', 'b,x,1\na,,3\n'],
        primaryKey: [1, 2],
        mode,
      });
      assert.equal(change.sourceRows, 5);
      assert.equal(change.totalRows, 3);
      assert.deepEqual(await table.sortedRows(), [
        ['a', '', '3'],
        ['a', 'x', '1'],
        ['b', 'x', '1'],
      ]);
      assert.equal((await readdir(table.data)).length, 1, 'no staged file stays');
    }
  });

  the('a last row longer than any buffer is kept or refused, never dropped', async (engine, t) => {
    const long = Buffer.alloc(20_000_000, 'x');
    const rows = Buffer.from(`1,${'y'.repeat(998)}\n`.repeat(16_000));
    for (const end of ['', '\n\n']) {
      const table = await EngineTable.make(engine, t, ['k', 'v']);
      const content = Buffer.concat([rows, Buffer.from('3,'), long, Buffer.from(end)]);
      assert.equal((await table.write({ content })).totalRows, 16_001);
      const zipped = gzipSync(content, { level: 1 });
      const rowCount = await table
        .write({ content: zipped, csv: { compression: 'gzip' } })
        .then((change) => change.totalRows, isError('invalid', 'csv.row-too-large'));
      assert.ok(rowCount === true || rowCount === 16_001);
    }
  });

  the('the last row wins in a file large enough to be read in parallel', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['k', 'v']);
    const count = 400_000;
    const lines = Array.from({ length: count }, (_, index) => `k${index % 1000},${index}-${'x'.repeat(40)}\n`);
    await table.import({ content: lines.join(''), primaryKey: [1], mode: 'replace' });
    const rows = await table.rows();
    assert.equal(rows.length, 1000);
    for (const [key, value] of rows) {
      assert.equal(Number(value!.split('-')[0]), count - 1000 + Number(key!.slice(1)), key);
    }
  });

  the('an upsert replaces changed rows, adds new ones and leaves equal ones alone', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['id', 'v']);
    const at = (value: string) => ({ fieldId: 9000, value: new Date(value) });
    const first = await table.import({
      content: '1,a\n2,b\n3,c\n',
      primaryKey: [1],
      mode: 'upsert',
      timestamp: at('2026-01-01T10:00:00Z'),
    });
    const second = await table.import({
      content: '2,b\n3,changed\n4,new\n',
      primaryKey: [1],
      mode: 'upsert',
      timestamp: at('2026-01-02T10:00:00.123Z'),
    });
    assert.equal(second.totalRows, 4);
    assert.deepEqual(second.removedFiles, []);
    assert.deepEqual(
      second.deleteFiles.map(({ dataFile, deleteCount }) => [dataFile, deleteCount]),
      [[first.addedFiles[0]!.path, 1]],
    );
    assert.equal(second.addedFiles[0]!.recordCount, 2);
    const columns = [1, 2, 9000];
    assert.deepEqual(await table.sortedRows({ columns }), [
      ['1', 'a', '2026-01-01 10:00:00'],
      ['2', 'b', '2026-01-01 10:00:00'],
      ['3', 'changed', '2026-01-02 10:00:00'],
      ['4', 'new', '2026-01-02 10:00:00'],
    ]);

    const third = await table.import({
      content: '1,again\n',
      primaryKey: [1],
      mode: 'upsert',
      timestamp: at('2026-01-03T10:00:00Z'),
    });
    assert.deepEqual(
      third.deleteFiles.map(({ deleteCount }) => deleteCount),
      [2],
      'delete files are cumulative',
    );
    const same = await table.import({ content: '1,again\n4,new\n', primaryKey: [1], mode: 'upsert' });
    assert.deepEqual([same.addedFiles, same.deleteFiles, same.removedFiles], [[], [], []]);
    const last = await table.import({ content: '2,x\n1,y\n', primaryKey: [1], mode: 'upsert' });
    assert.deepEqual(last.removedFiles.sort(), [first.addedFiles[0]!.path, third.addedFiles[0]!.path].sort());
    assert.equal(last.totalRows, 4);
    assert.deepEqual(await table.sortedRows(), [
      ['1', 'y'],
      ['2', 'x'],
      ['3', 'changed'],
      ['4', 'new'],
    ]);
  });

  the('upserts agree with a plain map (property)', async (engine, t) => {
    const cell = fc.constantFrom('', 'a', 'b', '"', '\n', 'NULL');
    const batch = fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 12 });
    const property = fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 5 }), async (batches) => {
      const table = await EngineTable.make(engine, t, ['a', 'b', 'c']);
      const expected = new Map<string, string[]>();
      for (const rows of batches) {
        const change = await table.import({ content: quoted(rows), primaryKey: [1, 3], mode: 'upsert' });
        for (const row of rows) expected.set(JSON.stringify([row[0], row[2]]), row);
        assert.equal(change.totalRows, expected.size);
      }
      assert.deepEqual(await table.sortedRows(), sorted([...expected.values()]));
    });
    await fc.assert(property, { numRuns: Number(process.env.MILLRACE_FUZZ_RUNS ?? 15), endOnFailure: true });
  });

  the('append without a key adds, replace removes what was there', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a']);
    const first = await table.import({ content: '1\n1\n' });
    const second = await table.import({ content: '1\n', mode: 'upsert' });
    assert.equal(second.totalRows, 3);
    const third = await table.import({ content: '2\n', mode: 'replace' });
    assert.deepEqual(
      third.removedFiles,
      [...first.addedFiles, ...second.addedFiles].map((file) => file.path),
    );
    assert.equal(third.totalRows, 1);
    assert.deepEqual(await table.rows(), [['2']]);
  });

  the('rows are deleted by a filter, whole files are dropped', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['n', 'v']);
    const first = await table.import({ content: '1,a\n2,b\n10,c\n' });
    const second = await table.import({ content: '20,d\n' });
    const one = await table.deleteRows({ field: '1', op: 'ge', values: ['10'], cast: 'integer' });
    assert.equal(one.deletedRows, 2);
    assert.equal(one.totalRows, 2);
    assert.deepEqual(one.removedFiles, [second.addedFiles[0]!.path]);
    assert.deepEqual(
      one.deleteFiles.map((file) => file.dataFile),
      [first.addedFiles[0]!.path],
    );
    const none = await table.deleteRows({ field: '2', op: 'eq', values: ['zzz'] });
    assert.deepEqual([none.deletedRows, none.deleteFiles, none.removedFiles, none.totalRows], [0, [], [], 2]);
    await table.deleteRows({ field: '2', op: 'eq', values: ['a'] });
    assert.deepEqual(await table.rows(), [['2', 'b']]);
    const all = await table.deleteRows({ all: [] });
    assert.equal(all.totalRows, 0);
    assert.deepEqual(table.version.files, []);
  });

  the('filters compare bytes, casts drop what does not cast', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['v']);
    const values = ['', '1', '2', '10', '1.5', 'a', 'A', 'ž', "o'r", 'x%y', 'NULL'];
    await table.import({ content: quoted(values.map((value) => [value])) });
    const matching = async (filter: Parameters<EngineTable['deleteRows']>[0]) =>
      (await table.rows({ filter })).map(([value]) => value).sort();
    assert.deepEqual(await matching({ field: '1', op: 'eq', values: ['', "o'r", 'NULL'] }), ['', 'NULL', "o'r"]);
    assert.deepEqual(await matching({ field: '1', op: 'ne', values: values.slice(1) }), ['']);
    assert.deepEqual(await matching({ field: '1', op: 'ne', values: ['', ...values.slice(3)] }), ['1', '2']);
    assert.deepEqual(await matching({ field: '1', op: 'lt', values: ['10'] }), ['', '1', '1.5']);
    assert.deepEqual(await matching({ field: '1', op: 'gt', values: ['a'] }), ["o'r", 'x%y', 'ž']);
    assert.deepEqual(await matching({ field: '1', op: 'ge', values: [2], cast: 'integer' }), ['1.5', '10', '2']);
    assert.deepEqual(await matching({ field: '1', op: 'lt', values: ['2'], cast: 'double' }), ['1', '1.5']);
    assert.deepEqual(await matching({ field: '1', op: 'eq', values: [] }), []);
    assert.deepEqual(await matching({ field: '1', contains: 'A' }), ['A', 'a']);
    assert.deepEqual(await matching({ field: '1', contains: '%' }), ['x%y']);
    assert.deepEqual(await matching({ not: { field: '1', op: 'ge', values: ['0'] } }), ['']);
    const either = {
      any: [
        { field: '1', op: 'eq' as const, values: ['1'] },
        { all: [{ field: '1', op: 'eq' as const, values: ['2'] }] },
      ],
    };
    assert.deepEqual(await matching(either), ['1', '2']);
    assert.deepEqual(await matching({ any: [] }), []);
    const since = { field: '9000', op: 'ge' as const, values: ['2026-01-01 00:00:00'] };
    assert.equal((await matching(since)).length, values.length);
    assert.equal((await matching({ ...since, op: 'gt' })).length, 0);
    assert.equal(
      (await matching({ ...since, values: [Date.parse('2025-12-31T00:00:00Z') / 1000] })).length,
      values.length,
    );
  });

  the('order, limit and the choice of columns', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['n', 'g']);
    await table.import({ content: '9,b\n10,a\nx,a\n1,b\n' });
    const by = async (...orderBy: NonNullable<Parameters<EngineTable['rows']>[0]>['orderBy'] & object) =>
      (await table.rows({ columns: [1], orderBy })).map(([value]) => value).join();
    assert.equal(await by({ field: '1', direction: 'asc' }), '1,10,9,x');
    assert.equal(await by({ field: '1', direction: 'desc', cast: 'integer' }), '10,9,1,x');
    assert.equal(await by({ field: '2', direction: 'asc' }, { field: '1', direction: 'desc' }), 'x,10,9,1');
    assert.deepEqual(await table.rows({ orderBy: [{ field: '1', direction: 'asc' }], limit: 2 }), [
      ['1', 'b'],
      ['10', 'a'],
    ]);
    assert.deepEqual(await table.rows({ limit: 0 }), []);
  });

  the('exports: header, gzip, sizes, nothing half-written', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    await table.import({ content: '1,"x ""y"""\n,\n' });
    const exported = async (file: string, format: Parameters<Engine['tables']['export']>[0]['format']) => {
      const destination = path.join(table.folder, file);
      const result = await engine.tables.export({ ...table.request(), destination, format });
      assert.equal(result.rows, 2);
      assert.equal(result.sizeBytes, (await stat(destination)).size);
      return await readFile(destination);
    };
    const body = '"1","x ""y"""\n"",""\n';
    assert.equal(String(await exported('plain', { kind: 'csv', gzip: false, header: null })), body);
    assert.equal(
      String(await exported('header', { kind: 'csv', gzip: false, header: ['x', 'y "z"'] })),
      `"x","y ""z"""\n${body}`,
    );
    assert.equal(
      String(await exported('case', { kind: 'csv', gzip: false, header: ['Id', 'id'] })),
      `"Id","id"\n${body}`,
    );
    assert.equal(
      String(gunzipSync(await exported('gz', { kind: 'csv', gzip: true, header: ['Id', 'id'] }))),
      `"Id","id"\n${body}`,
    );
    assert.equal((await exported('parquet', { kind: 'parquet' })).subarray(0, 4).toString(), 'PAR1');
    const left = (await readdir(table.folder)).filter(
      (file) => !/^(data|source-.*|plain|header|case|gz|parquet)$/.test(file),
    );
    assert.deepEqual(left, []);
  });

  the('a Parquet file of ours is a source too, everything becomes text', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    await table.import({ content: '1,x\n2,\n' });
    const destination = path.join(table.folder, 'made.parquet');
    await engine.tables.export({ ...table.request(), destination, format: { kind: 'parquet' } });
    const other = await EngineTable.make(engine, t, ['x', 'y']);
    await other.import({
      source: {
        kind: 'parquet',
        paths: [destination],
        columns: [
          { name: 'b', fieldId: 1 },
          { name: 'a', fieldId: 2 },
        ],
      },
    });
    assert.deepEqual(
      await other.sortedRows(),
      sorted([
        ['x', '1'],
        ['', '2'],
      ]),
    );
  });

  the('what is wrong with a file is said, with the row, and leaves no file', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    const cases: [string, string | Buffer, object, RegExp][] = [
      ['csv.ragged-row', '1,2\n3\n', {}, /Row 2 .*1 columns, 2/],
      ['csv.ragged-row', '1,2\n3,4,5\n', {}, /Row 2 .*3 columns, 2/],
      ['csv.ragged-row', '1,2\r\n3\n', {}, /Row 2/],
      ['csv.unterminated-quote', '1,2\n3,"4\n5,6\n', {}, /Row 2/],
      ['csv.encoding', Buffer.from('1,2\n3,\xff\xfe\n', 'latin1'), {}, /Row 2/],
      ['csv.encoding', Buffer.from('\ufeff1,2\n', 'utf16le'), {}, /UTF-8/],
      ['csv.invalid', '1,2\n3,"4"x\n', {}, /Row 2/],
      ['csv.cr-only', '1,2\r3,4\r', {}, /carriage return/],
      ['csv.gzip-broken', gzipSync('1,2\n'.repeat(100_000)).subarray(0, 200), { compression: 'gzip' }, /gzip/],
      ['csv.gzip-broken', flipped(gzipSync('1,2\n3,4\n'), -6), { compression: 'gzip' }, /gzip/],
      ['csv.gzip-broken', '1,2\n', { compression: 'gzip' }, /gzip/],
      ['csv.row-too-large', `1,"${'x'.repeat(70_000_000)}"\n`, {}, /Row 1/],
    ];
    for (const primaryKey of [[], [1]]) {
      for (const [code, content, csv, message] of cases) {
        if (code === 'csv.row-too-large' && primaryKey.length > 0) continue; // slow, and no different
        await assert.rejects(table.write({ content, csv, primaryKey }), (error) => {
          isError('invalid', code, message)(error);
          assert.ok(!JSON.stringify(error).includes(table.folder), `no path in ${JSON.stringify(error)}`);
          return true;
        });
        assert.deepEqual(await readdir(table.data), [], code);
      }
    }
  });

  the('many calls at once do not disturb each other', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b']);
    const imports = Array.from({ length: 8 }, (_, index) =>
      table.write({ content: `${index},x\n${index},y\n`, primaryKey: [1] }),
    );
    for (const change of await Promise.all(imports)) table.take(change);
    assert.deepEqual(
      await table.sortedRows(),
      Array.from({ length: 8 }, (_, index) => [String(index), 'y']),
    );
    const reads = await Promise.all(Array.from({ length: 8 }, () => table.sortedRows()));
    for (const rows of reads) assert.equal(rows.length, 8);
  });

  the('a cancelled call stops soon and leaves no file', async (engine, t) => {
    const table = await EngineTable.make(engine, t, ['a', 'b', 'c']);
    const content = 'abc,"def, ghi",some more text to read\n'.repeat(600_000);
    for (const primaryKey of [[], [1]]) {
      const abort = new AbortController();
      const reason = new Error('enough');
      const writing = table.write({ content, primaryKey, signal: abort.signal });
      setTimeout(() => abort.abort(reason), 120);
      await assert.rejects(writing, (error) => error === reason);
      assert.deepEqual(await readdir(table.data), []);
    }
    await assert.rejects(table.write({ content: '1,2,3\n', signal: AbortSignal.abort(new Error('before')) }), /before/);
  });
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[copy.length + at]! ^= 1;
  return copy;
}
