'use strict';
/**
 * Runs one script of somebody and ends. The folder it is given has, sooner or later, `run.json`: until then it waits,
 * so that it can be started before there is anything to run. What the script answers is left in `out/response.json`;
 * what it prints and how it ends is seen from outside.
 */
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const vm = require('node:vm');
const { createRequire } = require('node:module');

const folder = process.argv[2];
const order = path.join(folder, 'run.json');

// Without a network, the address of the platform is one of our own that leads out through a socket in the folder; named
// by the open folder, because paths of sockets must be short.
const folderHandle = fs.openSync(folder);
const wayOut = net.createServer((near) => {
  const far = net.connect(`/proc/self/fd/${folderHandle}/api.sock`);
  for (const [from, to] of [
    [near, far],
    [far, near],
  ]) {
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    // What the script itself waits for keeps the program alive, not this.
    from.unref();
  }
});
wayOut.unref();

let isBegun = false;
const watcher = fs.watch(folder, look);
wayOut.listen(0, '127.0.0.1', look);

function look() {
  // Also when it was there before.
  if (isBegun || !wayOut.listening || !fs.existsSync(order)) return;
  isBegun = true;
  watcher.close();
  run();
}

function run() {
  const { source, args, config, meta, apiScheme } = JSON.parse(fs.readFileSync(order, 'utf8'));
  meta.api_host = `${apiScheme}://127.0.0.1:${wayOut.address().port}`;
  const api = { ARGS: args, CONFIG: config, META: meta, HttpResponse, setResponse };
  const names = {
    ...api,
    require: createRequire(path.join(folder, 'script.js')),
    module: { exports: {} },
    APP_PATH: folder,
    ENV_PATH: folder,
    __filename: path.join(folder, 'script.js'),
    __dirname: folder,
  };
  names.exports = names.module.exports;
  // Configurable: a script may declare one of these names itself.
  for (const [name, value] of Object.entries(names))
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: true });
  const script = new vm.Script(source, {
    filename: 'script.js',
    importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const value = script.runInThisContext();
  if (typeof value !== 'function') return;
  const context = { args, config, meta, HttpResponse, setResponse, log: console.log, error: console.error };
  const answer = value(context);
  if (answer instanceof HttpResponse) setResponse(answer);
  else if (typeof answer?.then === 'function')
    answer.then((late) => {
      if (late instanceof HttpResponse) setResponse(late);
    });
}

function HttpResponse(status = 200, content = '', contentType = 'application/json', headers = {}) {
  if (!new.target) return new HttpResponse(status, content, contentType, headers);
  this.status = status;
  this.content = content;
  this.contentType = contentType;
  this.headers = headers;
}

/** Kept at once: a script may end itself in any way. */
function setResponse(response) {
  const { status = 200, content = '', contentType = 'application/json', headers = {} } = response ?? {};
  const isBinary = Buffer.isBuffer(content);
  const text = isBinary ? content.toString('base64') : typeof content === 'string' ? content : JSON.stringify(content);
  const answer = {
    status,
    contentType: String(contentType),
    headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)])),
    content: text ?? '',
    ...(isBinary && { encoding: 'base64' }),
  };
  fs.mkdirSync(path.join(folder, 'out'), { recursive: true });
  fs.writeFileSync(path.join(folder, 'out', 'response.json'), JSON.stringify(answer));
}
