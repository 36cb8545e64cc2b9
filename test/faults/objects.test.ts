import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, dataDirectory } from '../journeys/command.ts';
import { callers } from '../support/syncano-platform.ts';

const KILLS = 2;
const CLIENTS = 3;
const CREATES_BEFORE = 7;
const ROWS = 10_000;

type Note = { id: number; tag: string; at: number; twin: number; revision: number };
type Listing = { next: string | null; objects: Note[]; objects_count?: number };

test('a server killed amid batches of objects and a load keeps what it acknowledged, and nothing by halves', {
  timeout: 120_000,
}, async (t) => {
  const data = dataDirectory(t);
  const start = async () => {
    const server = new Command(t, ['up', '--data', data, '--port', '0', '--json']);
    const { url, credentials } = await server.ready();
    return { server, api: callers({ url, credentials: JSON.parse(readFileSync(credentials, 'utf8')) }) };
  };
  let { server, api } = await start();
  const integer = (name: string) => ({ name, type: 'integer', filter_index: true, order_index: true });
  const schema = [{ name: 'tag', type: 'string', filter_index: true }, integer('at'), integer('twin')];
  await api.call('POST', 'classes/', { name: 'note', schema });
  const counters: number[] = [];
  for (let i = 0; i < CLIENTS; i++)
    counters.push((await api.call<Note>('POST', 'classes/note/objects/', { tag: 'counter', at: 0 })).body.id);
  const csv = ['"k","v"', ...Array.from({ length: ROWS }, (_, i) => `"${i}","x"`)].join('\n');
  const source = await api.table('rows', csv);
  const job = await api.storage<{ id: string }>('POST', '/queue/jobs', {
    component: 'millrace.wr-objects',
    mode: 'run',
    configData: {
      parameters: { class: 'loaded', mode: 'append', create_class: true },
      storage: { input: { tables: [{ source, destination: 'rows' }] } },
    },
  });
  assert.equal(job.status, 201, job.text);

  const sent: string[] = [];
  const acknowledged = new Set<string>();
  let isOver = false;
  const client = async (number: number) => {
    const path = `${api.instance}classes/note/objects/`;
    const create = (tag: string, at: number) => ({ method: 'POST', path, body: { tag, at, twin: at } });
    for (let n = 0; !isOver; n++) {
      const tag = `c${number}-${n}`;
      sent.push(tag);
      const increment = { method: 'PATCH', path: `${path}${counters[number]}/`, body: { at: { _increment: 1 } } };
      const requests = [
        ...Array.from({ length: CREATES_BEFORE }, (_, at) => create(tag, at)),
        increment,
        create(tag, CREATES_BEFORE),
      ];
      try {
        const answer = await api.call<{ code: number }[]>('POST', 'batch/', { requests });
        const isWhole = answer.status === 200 && answer.body.every(({ code }) => code === 200 || code === 201);
        if (isWhole) acknowledged.add(tag);
      } catch {
        // The server is gone; the next one is tried.
        await sleep(200);
      }
    }
  };
  const clients = Array.from({ length: CLIENTS }, (_, number) => client(number));
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(400 + Math.random() * 600);
    server.child.kill('SIGKILL');
    await server.finished;
    ({ server, api } = await start());
  }
  await sleep(300);
  isOver = true;
  await Promise.all(clients);

  const notes: Note[] = [];
  for (let link: string | null = 'classes/note/objects/?page_size=100'; link !== null; ) {
    const { body }: { body: Listing } = await api.call<Listing>('GET', link);
    notes.push(...body.objects);
    link = body.next;
  }
  const byTag = new Map<string, Note[]>();
  for (const note of notes) byTag.set(note.tag, [...(byTag.get(note.tag) ?? []), note]);
  const counted = byTag.get('counter') ?? [];
  byTag.delete('counter');
  for (const [tag, made] of byTag) {
    const places = made.map(({ at }) => at);
    assert.deepEqual(places, [...places.keys()], `${tag}: in its order, without gaps or doubles`);
    assert.ok(made.every(({ at, twin, revision }) => at === twin && revision === 1));
  }
  for (const tag of acknowledged) assert.equal(byTag.get(tag)?.length, CREATES_BEFORE + 1, tag);
  for (const [number, id] of counters.entries()) {
    const of = [...byTag].filter(([tag]) => tag.startsWith(`c${number}-`)).map(([, made]) => made.length);
    const counter = counted.find((one) => one.id === id);
    const atLeast = of.filter((made) => made > CREATES_BEFORE).length;
    const atMost = of.filter((made) => made >= CREATES_BEFORE).length;
    assert.ok(counter && counter.at >= atLeast && counter.at <= atMost, `${counter?.at} of ${atLeast} to ${atMost}`);
    assert.equal(counter.revision, counter.at + 1);
  }
  t.diagnostic(`${acknowledged.size} of ${sent.length} batches acknowledged over ${KILLS} kills`);
  assert.ok(acknowledged.size > 0);

  for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
    const { body } = await api.storage<{ status: string; result: object }>('GET', `/queue/jobs/${job.body.id}`);
    if (body.status === 'success') break;
    assert.ok(body.status !== 'error' && Date.now() < deadline, JSON.stringify(body.result));
  }
  const loaded = await api.call<Listing>('GET', 'classes/loaded/objects/?page_size=0&include_count=1');
  assert.equal(loaded.body.objects_count, ROWS, 'the load that was begun again has its rows once');
});
