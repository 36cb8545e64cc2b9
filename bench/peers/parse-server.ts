import { createRequire } from 'node:module';
import path from 'node:path';

/**
 * Parse Server as a process of its own: `node parse-server.js <options as JSON>`. It runs as its documentation has it for
 * production, without the parts that nobody asks for here (GraphQL, live queries, logs of requests).
 */
type Options = { home: string; database: { host: string; port: number; user: string; database: string }; key: string };
type ParseModule = {
  ParseServer: new (options: object) => { start(): Promise<void>; app: unknown };
};
type Express = () => {
  use(path: string, app: unknown): void;
  listen(port: number, host: string, listening: () => void): { address(): { port: number } };
};

const { home, database, key } = JSON.parse(process.argv[2] ?? '') as Options;
const require = createRequire(path.join(home, 'package.json'));
const { ParseServer } = require('parse-server') as ParseModule;
const express = createRequire(require.resolve('parse-server'))('express') as Express;

const parse = new ParseServer({
  appId: 'bench',
  masterKey: key,
  serverURL: 'http://127.0.0.1/parse',
  databaseURI: `postgres://${database.user}@localhost/${database.database}`,
  // The same socket and as many connections as Millrace has.
  databaseOptions: { host: database.host, port: database.port, max: 20 },
  logLevel: 'error',
  silent: true,
  logsFolder: null,
});
await parse.start();
const app = express();
app.use('/parse', parse.app);
const server = app.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
});
process.once('SIGTERM', () => process.exit(0));
