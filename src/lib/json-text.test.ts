import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compactJson, jsonElements, jsonMembers, RawJson, replaceScalars, stringifyJson } from './json-text.ts';

test('a raw text is answered byte for byte, wherever it stands', () => {
  const raw = new RawJson('{"2":1.0,"1":{},"a":[],"big":12345678901234567890}');
  assert.equal(
    stringifyJson({ id: 'x', list: [{ raw }, raw], 'quote"': 1 }),
    `{"id":"x","list":[{"raw":${raw.text}},${raw.text}],"quote\\"":1}`,
  );
  assert.equal(JSON.stringify({ raw: new RawJson('{"a":1}') }), '{"raw":{"a":1}}');
});

test('elements are found with their own text', () => {
  assert.deepEqual(jsonElements(' [1.0, "a,]", {"b": [2, 3]} , [], null]'), [
    '1.0',
    '"a,]"',
    '{"b": [2, 3]}',
    '[]',
    'null',
  ]);
  assert.deepEqual(jsonElements('[]'), []);
  assert.deepEqual(jsonElements('[[1,2],[3]]'), ['[1,2]', '[3]']);
  assert.equal(jsonElements('{"a":[1]}'), undefined);
});

test('compacting removes white space outside of strings only', () => {
  assert.equal(compactJson(' { "a b" : [ 1.0 , "x \\" y" ] ,\n"c":{ } } '), '{"a b":[1.0,"x \\" y"],"c":{}}');
  assert.equal(compactJson(' 7 '), '7');
  for (const text of ['', '{', '{"a":1,}', '[1 2]', "{'a':1}", '['.repeat(300) + ']'.repeat(300)]) {
    assert.throws(() => compactJson(text), SyntaxError, text);
  }
});

test('members are found with their own text', () => {
  const members = jsonMembers('{"name":"a:b,}","configuration": {"2":1.0,"x":{"y":[1,{"z":"}"}]}} ,"n":null,"e":""}');
  assert.deepEqual(Object.fromEntries(members ?? []), {
    name: '"a:b,}"',
    configuration: '{"2":1.0,"x":{"y":[1,{"z":"}"}]}}',
    n: 'null',
    e: '""',
  });
  assert.equal(jsonMembers('[{"a":1}]'), undefined);
  assert.equal(jsonMembers('"{}"'), undefined);
  assert.equal(jsonMembers('{}')?.size, 0);
});

test('scalars are replaced by key, in lists of objects too, and nothing else changes', () => {
  const seen: string[] = [];
  const result = replaceScalars(
    '{"#a":"x","b":["#c",{"#d":1.0,"e":"#f"}],"#g":{"h":1},"#i":[true],"\\u0023j":"y"}',
    (key, value) => {
      seen.push(`${key}=${value}`);
      return key.startsWith('#') ? '"?"' : value;
    },
  );
  assert.equal(result, '{"#a":"?","b":["#c",{"#d":"?","e":"#f"}],"#g":{"h":1},"#i":[true],"\\u0023j":"?"}');
  assert.deepEqual(seen, ['#a="x"', '#d=1.0', 'e="#f"', 'h=1', '#j="y"']);
});

test('any JSON survives compacting, taking apart and splicing', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(undefined, 2, '\t'), (text, indent) => {
      const spaced = JSON.stringify(JSON.parse(text), null, indent);
      assert.equal(compactJson(spaced), JSON.stringify(JSON.parse(text)));
      assert.equal(
        replaceScalars(spaced, (_, value) => value),
        spaced,
      );
      assert.deepEqual(JSON.parse(stringifyJson([new RawJson(spaced)])), [JSON.parse(spaced)]);
      for (const [key, value] of jsonMembers(spaced) ?? []) {
        assert.deepEqual(JSON.parse(value), JSON.parse(text)[key]);
      }
    }),
  );
});

test('a text of several megabytes is no trouble', () => {
  const text = JSON.stringify({
    a: '\\n'.repeat(2_000_000),
    b: Array.from({ length: 200_000 }, (_, i) => ({ '#k': i })),
  });
  assert.equal(compactJson(text), text);
  assert.equal(replaceScalars(text, () => '1').length > 0, true);
});
