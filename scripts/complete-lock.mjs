// Adds to package-lock.json the optional platform packages that `npm install` left out because the registry in reach
// does not carry them: without these entries `npm ci` refuses the lock file. Run after every change of a dependency.
import { readFileSync, writeFileSync } from 'node:fs';

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const names = { cpu: ['arm64', 'x64', 'ia32', 'arm'], os: ['android', 'darwin', 'linux', 'win32'] };
for (const [parent, pkg] of Object.entries({ ...lock.packages })) {
  for (const [name, version] of Object.entries(pkg.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key]) continue;
    const parts = name.split('/')[1].split('-');
    lock.packages[key] = {
      version: version.replace(/^[\^~]/, ''),
      cpu: parts.filter((p) => names.cpu.includes(p)),
      ...(pkg.dev ? { dev: true } : {}),
      ...(parts.includes('linux') ? { libc: [parts.includes('musl') ? 'musl' : 'glibc'] } : {}),
      license: pkg.license,
      optional: true,
      os: parts.filter((p) => names.os.includes(p)),
    };
    console.log('added', key, JSON.stringify(lock.packages[key]));
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
