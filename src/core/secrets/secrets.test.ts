import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { testDatabase } from '../../../test/support/database.ts';
import { AppError } from '../errors.ts';
import { createMask } from './mask.ts';
import { type SecretScope, Secrets } from './secrets.ts';

const secrets = new Secrets(randomBytes(32));
const coded = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;
const refused = coded('secret.undecryptable');
const full = { projectId: 7, componentId: 'keboola.ex-1', configurationId: '42' };

test('each scope has its prefix, and opens wherever all it is bound to agrees', () => {
  const scopes: [string, SecretScope][] = [
    ['ProjectWideSecure', { projectId: 7 }],
    ['ComponentSecure', { componentId: 'keboola.ex-1' }],
    ['ProjectSecure', { projectId: 7, componentId: 'keboola.ex-1' }],
    ['ConfigSecure', full],
  ];
  for (const [name, scope] of scopes) {
    const cipher = secrets.encryptText('s3cret ž\n', scope);
    assert.match(cipher, new RegExp(`^KBC::${name}::[A-Za-z0-9+/]+=*$`));
    assert.ok(secrets.isCipher(cipher));
    assert.ok(!cipher.includes('s3cret'));
    assert.equal(secrets.decryptText(cipher, full), 's3cret ž\n');
    for (const [key, other] of [
      ['projectId', 8],
      ['componentId', 'keboola.ex-2'],
      ['configurationId', '43'],
    ] as const) {
      const elsewhere = { ...full, [key]: other };
      if (key in scope) assert.throws(() => secrets.decryptText(cipher, elsewhere), refused, `${name} ${key}`);
      else assert.equal(secrets.decryptText(cipher, elsewhere), 's3cret ž\n');
    }
  }
});

test('the same text never has the same cipher twice', () => {
  assert.notEqual(secrets.encryptText('x', full), secrets.encryptText('x', full));
});

test('a changed, cut, relabelled or foreign cipher is refused', () => {
  const cipher = secrets.encryptText('x'.repeat(100), full);
  const [prefix, payload] = [cipher.slice(0, 19), Buffer.from(cipher.slice(19), 'base64')];
  assert.equal(prefix, 'KBC::ConfigSecure::');
  for (const at of [0, 2, 10, 20, payload.length - 1]) {
    const changed = Buffer.from(payload);
    changed[at] = (changed[at] ?? 0) ^ 1;
    assert.throws(() => secrets.decryptText(prefix + changed.toString('base64'), full), refused, `byte ${at}`);
  }
  assert.throws(() => secrets.decryptText(prefix + payload.subarray(0, 40).toString('base64'), full), refused);
  assert.throws(() => secrets.decryptText(cipher.replace('ConfigSecure', 'ProjectSecure'), full), refused);
  assert.throws(() => new Secrets(randomBytes(32)).decryptText(cipher, full), refused);
  for (const foreign of [
    'KBC::ProjectSecureKV::eJxabc',
    'KBC::ProjectSecureGKMS::eJx',
    'KBC::ComponentProjectEncrypted==x',
  ]) {
    assert.ok(secrets.isCipher(foreign));
    assert.throws(() => secrets.decryptText(foreign, full), refused);
  }
  for (const plain of ['', 'KBC::', 'password', 'KBC::ProjectSecure::', '{{ vault.x }}'])
    assert.ok(!secrets.isCipher(plain));
});

test('in a tree exactly the scalars under # keys are encrypted, at any depth', () => {
  const foreign = 'KBC::ProjectSecureKV::abc';
  const tree = {
    b: 1,
    a: 'plain',
    '#password': 'hunter2',
    '#number': 12,
    '#flag': false,
    '#empty': '',
    '#nothing': null,
    '#variable': '{{ password }}',
    '#foreign': foreign,
    '#object': { user: 'u', '#token': 'deep' },
    list: [{ '#item': 'in list' }, '#not a key'],
  };
  const encrypted = secrets.encryptTree(tree, full) as typeof tree;
  assert.deepEqual(Object.keys(encrypted), Object.keys(tree));
  assert.deepEqual([encrypted.a, encrypted.b, encrypted.list[1]], ['plain', 1, '#not a key']);
  assert.deepEqual(
    [encrypted['#empty'], encrypted['#nothing'], encrypted['#variable'], encrypted['#foreign']],
    ['', null, '{{ password }}', foreign],
  );
  assert.ok(!JSON.stringify(encrypted).match(/hunter2|deep|in list/));
  assert.deepEqual(secrets.encryptTree(encrypted, full), encrypted, 'ciphers are not encrypted again');

  delete (encrypted as Record<string, unknown>)['#foreign'];
  const opened = secrets.decryptTree(encrypted, full);
  const { '#foreign': _, ...rest } = tree;
  assert.deepEqual(opened.value, { ...rest, '#number': '12', '#flag': 'false' });
  assert.deepEqual(opened.secrets, ['hunter2', '12', 'false', 'deep', 'in list']);
});

test('a plain text or a foreign cipher under a # key stops decrypting without being shown', () => {
  for (const value of ['hunter2', 12, secrets.encryptText('hunter2', { ...full, projectId: 8 })])
    assert.throws(
      () => secrets.decryptTree({ '#key': value }, full),
      (error) => refused(error) && /#key/.test(String(error)) && !/hunter2|12|KBC/.test(String(error)),
    );
});

test('a database knows the key its secrets were made with', async (t) => {
  const db = await testDatabase(t);
  const key = randomBytes(32);
  await new Secrets(key).checkKey(db);
  await new Secrets(key).checkKey(db);
  await assert.rejects(new Secrets(randomBytes(32)).checkKey(db), coded('secret.wrong-key'));
  assert.throws(() => new Secrets(randomBytes(16)), /32 bytes/);
});

test('a mask hides each secret as it is, in base64 and in JSON', () => {
  const secret = 'a"b\nc/ž';
  const mask = createMask([secret, '', 'long-secret', 'long']);
  const shown = mask(
    [
      `plain ${secret}.`,
      Buffer.from(secret).toString('base64'),
      JSON.stringify({ secret }),
      '"a\\"b\\nc\\/\\u017e"',
      'long-secret long',
      'untouched',
    ].join('|'),
  );
  assert.equal(shown, 'plain [hidden].|[hidden]|{"secret":"[hidden]"}|"[hidden]"|[hidden] [hidden]|untouched');
  assert.equal(createMask([])('text'), 'text');
  assert.equal(createMask([''])('text'), 'text');
  assert.equal(createMask(['$&.*'])('a $&.* b'), 'a [hidden] b');
});
