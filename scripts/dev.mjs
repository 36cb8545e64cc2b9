// `npm run dev`: recompiles on change and restarts `millrace up` with each build.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { ensureBuilt, root } from './ensure-install.mjs';

ensureBuilt();
const compiler = spawn(
  process.execPath,
  [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', root, '--watch', '--preserveWatchOutput'],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
const server = spawn(
  process.execPath,
  ['--watch-path=dist/src', '--enable-source-maps', 'dist/src/main.js', 'up', ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
const stop = () => {
  compiler.kill();
  server.kill();
};
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
