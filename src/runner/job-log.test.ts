import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../lib/logger.ts';
import { JobLog, ProgramOutput, splitLines, toMessage } from './job-log.ts';

type Written = { type: string; message: string; component: string };

function openLog() {
  const events: Written[] = [];
  const appendEvent = async (event: object) => {
    await new Promise((resolve) => setImmediate(resolve));
    events.push(event as Written);
  };
  return { events, log: new JobLog({ appendEvent, log: silentLogger }, 'my.component') };
}

test('events keep their order, and empty ones are left out', async () => {
  const { log, events } = openLog();
  log.info('one');
  log.info('  \n ');
  log.warn('two');
  log.error('three');
  await log.flush();
  assert.deepEqual(
    events.map(({ type, message }) => [type, message]),
    [
      ['info', 'one'],
      ['warn', 'two'],
      ['error', 'three'],
    ],
  );
});

test('secrets are hidden in every shape, also when they come in two pieces', async () => {
  const { log, events } = openLog();
  log.hide(['s3cr"et', '']);
  const output = new ProgramOutput(log);
  const text = Buffer.from(`plain s3cr"et json s3cr\\"et base ${Buffer.from('s3cr"et').toString('base64')}\n`);
  await output.add({ stream: 'stdout', bytes: text.subarray(0, 9), offset: 0 });
  await output.add({ stream: 'stdout', bytes: text.subarray(9), offset: 9 });
  output.end();
  await log.flush();
  assert.deepEqual(
    events.map(({ message }) => message),
    ['plain [hidden] json [hidden] base [hidden]'],
  );
});

test('output of any kind becomes messages that fit', async () => {
  const { log, events } = openLog();
  const output = new ProgramOutput(log);
  const add = (bytes: Buffer) => output.add({ stream: 'stdout', bytes, offset: 0 });
  await add(Buffer.from('č'.repeat(10)).subarray(0, 5));
  await add(Buffer.concat([Buffer.from('č'.repeat(10)).subarray(5), Buffer.from([0x0a, 0xff, 0x00, 0x0a])]));
  await add(Buffer.from(`${'x'.repeat(9000)}\nlast`));
  output.end();
  await log.flush();
  assert.equal(
    events
      .map(({ message }) => message)
      .join('')
      .includes('\0'),
    false,
  );
  assert.match(events[0]?.message ?? '', /^č{10}\n\ufffd$/);
  assert.ok(events.every(({ message }) => message.length <= 4000));
  assert.equal(events.at(-1)?.message.endsWith('last'), true);
});

test('of endless output the beginning and the end are kept', async () => {
  const { log } = openLog();
  const output = new ProgramOutput(log);
  for (const letter of 'abcdefgh') {
    await output.add({ stream: 'stderr', bytes: Buffer.alloc(60_000, letter), offset: 0 });
  }
  const text = output.stderr.text();
  assert.ok(text.length < 300_000);
  assert.ok(text.startsWith('a') && text.endsWith('h') && text.includes(' ... '));
});

test('lines are packed into parts, never losing a character', () => {
  assert.deepEqual(splitLines('ab\ncd\nef', 6), ['ab\ncd\n', 'ef']);
  assert.deepEqual(splitLines('abcdefgh\ni', 3), ['abc', 'def', 'gh\n', 'i']);
  assert.equal(toMessage(`a\0b ${String.fromCharCode(0xd800)}`), 'ab \ufffd');
});
