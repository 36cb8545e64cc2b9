// `npm run bench`: measures Millrace beside the plain tool in one run and prints ratios. Never fails the build.
//   npm run bench              every benchmark
//   npm run bench -- jobs      only those whose file name has one of the words; other options go through (--rows 1000000)
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ensureBuilt, root, sources } from './ensure-install.mjs';

const words = process.argv.slice(2).filter((argument) => /^[a-z]/.test(argument));
const options = process.argv.slice(2).filter((argument) => !words.includes(argument));

ensureBuilt();
const files = sources(path.join(root, 'bench'))
  .filter(
    (file) =>
      file.endsWith('.bench.ts') && (words.length === 0 || words.some((word) => path.basename(file).includes(word))),
  )
  .sort();
if (files.length === 0) console.log(`no benchmark has any of: ${words.join(', ')}`);
for (const file of files) {
  const compiled = path.join(root, 'dist', path.relative(root, file)).replace(/\.ts$/, '.js');
  spawnSync(process.execPath, ['--enable-source-maps', compiled, ...options], { stdio: 'inherit' });
}
