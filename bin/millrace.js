#!/usr/bin/env node
// Starts the compiled program; in a fresh clone it is compiled first.
import { existsSync } from 'node:fs';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 20)) {
  process.stderr.write(`millrace: Node 20.20 or newer is needed; this is ${process.versions.node}.\n`);
  process.exit(1);
}
const main = new URL('../dist/src/main.js', import.meta.url);
const installer = new URL('../scripts/ensure-install.mjs', import.meta.url);
if (!existsSync(main)) {
  if (!existsSync(installer)) {
    process.stderr.write('millrace: this installation is incomplete (dist/ is missing). Install the package again.\n');
    process.exit(2);
  }
  (await import(installer.href)).ensureBuilt();
}
await import(main.href);
