// Drives the API with the unmodified client `syncano` 1.x. Started by syncano.test.ts; not compiled, because the client
// is no dependency of ours. argv: folder with node_modules, JSON of the server's address and credentials.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [home, given] = process.argv.slice(2);
const require = createRequire(path.join(home, 'package.json'));
const Syncano = require('syncano').default ?? require('syncano');
const { url: baseUrl, accountKey, apiKey, instance: instanceName } = JSON.parse(given);
const connect = (keys) => Syncano({ baseUrl, ...keys, defaults: { instanceName } });
const connection = connect({ accountKey });
const { Instance, Class, DataObject, User, Script, ScriptTrace, ScriptEndpoint, Schedule, ScheduleTrace } = connection;

const steps = {
  async instances() {
    const list = await Instance.please().list();
    assert.deepEqual(
      list.map(({ name }) => name),
      [instanceName],
    );
    assert.equal((await Instance.please().get({ name: instanceName })).name, instanceName);
    // A query is no promise: only the one that `request` gives can be rejected.
    const stranger = connect({ accountKey: '0'.repeat(40) });
    await assert.rejects(stranger.Instance.please().list().request(), { status: 403 });
  },

  async classes() {
    const schema = [
      { name: 'title', type: 'string', order_index: true, filter_index: true },
      { name: 'pages', type: 'integer', order_index: true, filter_index: true },
      { name: 'tags', type: 'array' },
    ];
    const made = await Class.please().create({ name: 'book', schema });
    assert.deepEqual([made.name, made.revision, made.schema.length], ['book', 1, 3]);
    made.description = 'what people read';
    assert.equal((await made.save()).description, 'what people read');
    const names = (await Class.please().list()).map(({ name }) => name);
    assert.ok(names.includes('book'), names.join());
  },

  async objects() {
    const className = 'book';
    for (let n = 1; n <= 7; n++)
      await DataObject.please().create({ className, title: `book ${n}`, pages: n * 100, tags: ['a'] });
    const some = await DataObject.please()
      .list({ className })
      .filter({ pages: { _gt: 200 } })
      .orderBy('-pages')
      .pageSize(2);
    assert.deepEqual(
      some.map(({ pages }) => pages),
      [700, 600],
    );
    assert.equal(some.hasNext(), true);
    const next = await some.next();
    assert.deepEqual(
      next.map(({ pages }) => pages),
      [500, 400],
    );
    const back = await next.prev();
    assert.deepEqual(
      back.map(({ pages }) => pages),
      [700, 600],
    );
    const all = [];
    for (let page = await DataObject.please().list({ className }).pageSize(3); ; page = await page.next()) {
      all.push(...page.map(({ title }) => title));
      if (!page.hasNext()) break;
    }
    assert.equal(new Set(all).size, 7);
    const [first] = await DataObject.please()
      .list({ className })
      .filter({ title: { _eq: 'book 1' } });
    first.title = 'the first';
    const saved = await first.save();
    assert.deepEqual([saved.title, saved.revision], ['the first', 2]);
    const one = { className, id: first.id };
    assert.equal((await DataObject.please().increment(one, { pages: 5 })).pages, 105);
    assert.deepEqual((await DataObject.please().add(one, { tags: ['b'] })).tags, ['a', 'b']);
    const counted = await DataObject.please().list({ className }).count();
    assert.equal(counted.objects_count, 7);
    await first.delete();
    await assert.rejects(DataObject.please().get(one).request(), { status: 404 });
    await assert.rejects(DataObject.please().create({ className, pages: 'many' }), { status: 400 });
  },

  async users() {
    await User.please().create({ username: 'jane', password: 'secret' });
    const asProgram = connect({ apiKey });
    const jane = await asProgram.User.please().login({}, { username: 'jane', password: 'secret' });
    assert.equal(jane.username, 'jane');
    assert.match(jane.user_key, /^[0-9a-f]{40}$/);
    const mine = await asProgram.DataObject.please().create({ className: 'book', title: 'of jane' });
    assert.equal(mine.owner, jane.id);
    const wrong = { username: 'jane', password: 'wrong' };
    await assert.rejects(connect({ apiKey }).User.please().login({}, wrong), { status: 401 });
  },

  async scripts() {
    const runtimes = await Script.please().getRuntimes();
    assert.ok('nodejs' in runtimes);
    const script = await Script.please().create({
      label: 'sum',
      runtime_name: 'nodejs_library_v1.0',
      source: 'console.log(ARGS.a + ARGS.b)',
    });
    const begun = await script.run({ payload: { a: 2, b: 3 } });
    assert.equal(begun.status, 'pending');
    const trace = await ended({ scriptId: script.id, id: begun.id });
    assert.deepEqual([trace.status, trace.result.stdout], ['success', '5']);
    for (let n = 0; n < 3; n++) await Script.please().run({ id: script.id }, { payload: { a: n, b: n } });
    const page = await ScriptTrace.please().list({ scriptId: script.id }).pageSize(2);
    assert.equal(page.length, 2);
    assert.ok(page[0].id > page[1].id);
    const older = await page.next();
    assert.equal(older.at(-1).id, begun.id);
    script.source = 'console.log("changed")';
    assert.equal((await script.save()).source, 'console.log("changed")');
  },

  async schedules() {
    const [script] = await Script.please().list();
    const schedule = await Schedule.please().create({ label: 'often', script: script.id, interval_sec: 30 });
    assert.deepEqual([schedule.interval_sec, schedule.script], [30, script.id]);
    const nightly = await Schedule.please().create({ label: 'nightly', script: script.id, crontab: '0 2 * * *' });
    assert.equal(new Date(nightly.scheduled_next).getUTCHours(), 2);
    const labels = (await Schedule.please().list()).map(({ label }) => label);
    assert.deepEqual(labels, ['often', 'nightly']);
    assert.equal((await Schedule.please().get({ id: nightly.id })).crontab, '0 2 * * *');
    assert.deepEqual([...(await ScheduleTrace.please().list({ scheduleId: nightly.id }))], []);
    const wrong = { label: 'x', script: script.id, crontab: 'now and then please' };
    await assert.rejects(Schedule.please().create(wrong), { status: 400 });
    await nightly.delete();
    await Schedule.please().delete({ id: schedule.id });
  },

  async endpoints() {
    const [script] = await Script.please().list();
    const endpoint = await ScriptEndpoint.please().create({ name: 'hello', script: script.id, public: true });
    assert.match(endpoint.public_link, /^[0-9a-f]{40}$/);
    const trace = await endpoint.run({ who: 'you' });
    assert.deepEqual([trace.status, trace.result.stdout], ['success', 'changed']);
    const open = await connect({}).ScriptEndpoint.please().runPublic(endpoint, {});
    assert.equal(open.status, 'success');
    const reset = await ScriptEndpoint.please().reset({ name: 'hello' });
    assert.notEqual(reset.public_link, endpoint.public_link);
    await ScriptEndpoint.please().delete({ name: 'hello' });
    await script.delete();
  },
};

async function ended(of) {
  for (;;) {
    const trace = await ScriptTrace.please().get(of);
    if (trace.status !== 'pending' && trace.status !== 'processing') return trace;
    await sleep(20);
  }
}

for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(name);
}
