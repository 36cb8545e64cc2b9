import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../lib/json.ts';
import {
  assertNoComponentSecrets,
  checkConfiguration,
  configObject,
  memoryLimitMb,
  printJson,
  timeoutSeconds,
} from './config-file.ts';

const fileOf = (configuration: { [key: string]: Json }, image: { [key: string]: Json } = {}) =>
  configObject(checkConfiguration(configuration), image);

test('config.json of a minimal configuration, byte by byte', () => {
  const parameters = { key1: 'value1', key2: { key3: 'value3', key4: [] } };
  assert.equal(
    printJson(fileOf({ parameters }, { fooBar: 'baz' })),
    `{
    "parameters": {
        "key1": "value1",
        "key2": {
            "key3": "value3",
            "key4": []
        }
    },
    "image_parameters": {
        "fooBar": "baz"
    },
    "action": "run",
    "shared_code_row_ids": [],
    "storage": {},
    "authorization": {}
}`,
  );
});

test('slashes are escaped and nothing beyond ASCII is written', () => {
  assert.equal(printJson({ 'ž/a': 'http://x/😀' }), '{\n    "\\u017e\\/a": "http:\\/\\/x\\/\\ud83d\\ude00"\n}');
  assert.deepEqual(JSON.parse(printJson({ 'ž/a': '😀\n"' })), { 'ž/a': '😀\n"' });
});

test('the runner keeps its own sections to itself and completes the storage section', () => {
  const config = fileOf({
    runtime: { backend: { context: 'wlm' } },
    processors: { before: [], after: [] },
    parameters: [],
    storage: { input: {} },
    authorization: { oauth_api: { credentials: { id: 'x' } } },
  });
  assert.deepEqual(config, {
    parameters: {},
    storage: { input: { tables: [], files: [] } },
    authorization: { oauth_api: { credentials: { id: 'x' } }, context: 'wlm' },
    image_parameters: {},
    action: 'run',
    shared_code_row_ids: [],
  });
});

test('what this version does not do is refused by its name', () => {
  const cases: [{ [key: string]: Json }, RegExp][] = [
    [{ foo: 1 }, /^Unrecognized option "foo" under "container"/],
    [{ processors: { before: [{ definition: { component: 'x' } }] } }, /"processors" is not supported/],
    [{ artifacts: { runs: { enabled: true } } }, /"artifacts\.runs" is not supported/],
    [{ authorization: { oauth_api: { id: '1' } } }, /"authorization\.oauth_api\.id" is not supported/],
    [{ runtime: { process_timeout: 'a' } }, /must be "null" or "int"/],
    [{ runtime: { process_timeout: 0 } }, /must be greater than 0/],
    [{ runtime: { use_file_storage_only: true } }, /is not supported/],
  ];
  for (const [configuration, message] of cases) {
    assert.throws(() => checkConfiguration(configuration), { message, kind: 'invalid' });
  }
});

test("a component's own secrets cannot be read through a configuration", () => {
  assertNoComponentSecrets({ '#key': 'sesame' }, { parameters: { '#key': 'other', plain: 'sesame' } });
  assert.throws(
    () => assertNoComponentSecrets({ deep: { '#key': 'sesame' } }, { parameters: { credentials: { '#x': 'sesame' } } }),
    /Component secrets cannot be used in configurations \(used in "parameters\.credentials\.#x"\)/,
  );
});

test('memory and time follow the component, the container and the configuration', () => {
  const runtime = { containerType: undefined, context: undefined, processTimeoutSeconds: undefined };
  assert.equal(memoryLimitMb(undefined, undefined), 256);
  assert.equal(memoryLimitMb('8g', 'small'), 8000);
  assert.equal(memoryLimitMb('256m', 'xsmall'), 128);
  assert.equal(memoryLimitMb('256M', 'large'), 1817);
  assert.throws(() => memoryLimitMb('lots', undefined), { kind: 'internal' });
  assert.equal(timeoutSeconds(undefined, runtime), 3600);
  assert.equal(timeoutSeconds(60, runtime), 60);
  assert.equal(timeoutSeconds(60, { ...runtime, processTimeoutSeconds: 100_000 }), 86_400);
});
