import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitV1 } from './v1-roots.ts';

test('what two dialects have under /v1 goes to each by its first word', () => {
  const cases: [string, string][] = [
    ['/v1', '/v1.1'],
    ['/v1/', '/v1.1/'],
    ['/v1/?format=json', '/v1.1/?format=json'],
    ['/v1/instances/demo/classes/', '/v1.1/instances/demo/classes/'],
    ['/v1/account', '/v1.1/account'],
    ['/v1/sources?limit=1', '/v1/sources?limit=1'],
    ['/v1/applications/token', '/v1/applications/token'],
    ['/v1/instancesx', '/v1/instancesx'],
    ['/v1.1/instances', '/v1.1/instances'],
    ['/api/public/v1/sources', '/api/public/v1/sources'],
    ['/v10', '/v10'],
  ];
  for (const [url, expected] of cases) assert.equal(splitV1(url), expected);
});
