import assert from 'node:assert/strict';
import type { Api } from './api.ts';
import { type Client, pause } from './client.ts';
import { expected } from './expected.ts';
import type { Stepper } from './step.ts';

type Traffic = { state: string; flights: number; leaving: number };
type Page = { next: string | null; objects: Traffic[] };
type Trace = { status: string; result: { stdout?: string; stderr?: string }; links: { self: string } };

const CLASS = 'state_traffic';
const LABEL = 'demo: summary';

/** The table becomes a class of data objects: served with a filter, page by page, and read by a script. */
export async function serveObjects(
  step: Stepper,
  { objects, keboola, root }: { objects: Api; keboola: Client; root: Api },
  tableId: string,
): Promise<void> {
  await step('a class of the table', 'millrace.wr-objects', async () => {
    await keboola.queueJob({ component: 'millrace.wr-objects', mode: 'run', configData: writerOf(tableId) });
    const { objects_count: count } = await objects.call<{ objects_count: number }>('GET', `/classes/${CLASS}/`);
    assert.equal(count, expected.states);
    return count;
  });

  const found: Traffic[] = [];
  await step('Syncano: big states, page by page', 'GET .../objects/?query=', async () => {
    const query = new URLSearchParams({
      query: JSON.stringify({ flights: { _gte: expected.big.from } }),
      order_by: '-flights',
      page_size: String(expected.big.pageSize),
    });
    const filter = query.toString();
    let pages = 0;
    for (let path: string | null = `/classes/${CLASS}/objects/?${filter}`; path !== null; pages++) {
      const page: Page = pages === 0 ? await objects.call('GET', path) : await root.call('GET', path);
      found.push(...page.objects);
      // Links to further pages say where they go on; what is asked for is said again.
      path = page.next === null ? null : `${page.next}&${new URLSearchParams({ query: query.get('query') ?? '' })}`;
    }
    assert.ok(pages >= expected.big.states / expected.big.pageSize, `${pages} pages`);
    assert.equal(new Set(found.map(({ state }) => state)).size, expected.big.states);
    assert.equal(
      found.reduce((total, { flights }) => total + flights, 0),
      expected.big.flights,
    );
    assert.deepEqual(
      found.slice(0, expected.top.length).map(({ state, flights }) => [state, flights]),
      expected.top.map(([state, flights]) => [state, flights]),
    );
    return found.length;
  });

  await step('Syncano: a script sums them up', 'POST .../scripts/{id}/run/', async () => {
    const summary = await runScript(objects, root, { from: expected.big.from });
    assert.deepEqual(summary, expected.big.summary);
    return undefined;
  });
}

async function runScript(objects: Api, root: Api, payload: object): Promise<unknown> {
  const scripts = '/snippets/scripts/';
  const config = { allow_full_access: true };
  const body = { label: LABEL, runtime_name: 'nodejs', source: SCRIPT, config };
  const { objects: known } = await objects.call<{ objects: { id: number; label: string }[] }>('GET', scripts);
  const mine =
    known.find(({ label }) => label === LABEL) ?? (await objects.call<{ id: number }>('POST', scripts, body));
  await objects.call('PATCH', `${scripts}${mine.id}/`, { source: SCRIPT, config });
  let trace = await objects.call<Trace>('POST', `${scripts}${mine.id}/run/`, { payload });
  while (trace.status === 'pending' || trace.status === 'processing') {
    await pause(25);
    trace = await root.call<Trace>('GET', trace.links.self);
  }
  assert.equal(trace.status, 'success', trace.result.stderr);
  return JSON.parse(trace.result.stdout ?? '');
}

/** Asks the API of its own instance, with the key of its run. */
const SCRIPT = `
(async () => {
  const query = encodeURIComponent(JSON.stringify({ flights: { _gte: ARGS.from } }));
  const path = '/v1.1/instances/' + META.instance + '/classes/${CLASS}/objects/?page_size=100&query=' + query;
  const answer = await fetch(META.api_host + path, { headers: { 'x-api-key': META.token } });
  const { objects } = await answer.json();
  const sum = (name) => objects.reduce((total, object) => total + object[name], 0);
  objects.sort((a, b) => a.leaving / a.flights - b.leaving / b.flights);
  console.log(JSON.stringify({
    states: objects.length,
    leaving: Math.round(10000 * sum('leaving') / sum('flights')) / 100,
    mostAtHome: objects[0].state,
  }));
})();
`;

function writerOf(tableId: string): object {
  const number = { type: 'integer', filter_index: true, order_index: true };
  return {
    parameters: {
      class: CLASS,
      mode: 'replace',
      create_class: true,
      fields: [
        { name: 'state', type: 'string', filter_index: true },
        { name: 'flights', ...number },
        { name: 'routes', ...number },
        { name: 'airports', ...number },
        { name: 'leaving', ...number },
      ],
    },
    storage: { input: { tables: [{ source: tableId, destination: 'traffic.csv' }] } },
  };
}
