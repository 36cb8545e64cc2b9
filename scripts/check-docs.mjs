// Part of `npm run check`: generated pages are fresh and links between the pages of the repository lead somewhere.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './ensure-install.mjs';

const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].concat(
  readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => path.join('docs', file)),
);
const broken = [];
for (const page of pages) {
  const text = readFileSync(path.join(root, page), 'utf8');
  for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:|^#/.test(target)) continue;
    const file = path.join(root, path.dirname(page), target.split('#')[0] ?? '');
    if (!existsSync(file)) broken.push(`${page} links to ${target}, which does not exist`);
  }
}
for (const line of broken) console.error(line);
const generated = spawnSync(process.execPath, [path.join(root, 'scripts', 'docs.mjs'), '--check'], {
  stdio: 'inherit',
});
process.exit(broken.length > 0 || generated.status !== 0 ? 1 : 0);
