import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '../core/errors.ts';
import { packageRoot } from '../lib/package-root.ts';
import { writePrivateFile } from '../lib/private-file.ts';
import { askSpecification, type Specification } from './connector-specification.ts';
import { type ConfigFlags, loadFromFlags } from './options.ts';
import { printLine, say } from './output.ts';
import { type PythonProgram, parsePackage, preparePythonProgram } from './python-program.ts';

/** Of a component definition, what these commands read back. */
type Definition = {
  id: string;
  name: string;
  directory: string;
  data: { definition: { uri: string; tag: string } };
  connector: { role: Role; uuid: string; slug: string };
};
type Role = 'source' | 'destination';
type Known = { id: string; role: Role; slug: string; name: string; uuid: string; image: string };

/**
 * Connectors of a data directory. A program lies in `connectors/programs/<package>-<version>`, complete or not there at
 * all; `connectors/<id>.json` says which version of it runs. A running server sees within a second what has changed.
 */
const foldersOf = (dataDirectory: string) => ({
  connectors: path.join(dataDirectory, 'connectors'),
  programs: path.join(dataDirectory, 'connectors', 'programs'),
});

export async function connectorInstall(name: string, options: ConfigFlags & { python?: string }): Promise<void> {
  const wanted = parsePackage(name);
  const { role, slug } = roleOf(wanted.name);
  const { config } = loadFromFlags(options);
  const { connectors, programs } = foldersOf(config.dataDirectory);
  mkdirSync(config.dataDirectory, { recursive: true, mode: 0o700 });
  if (!options.json) say(`installing ${name}; this may take some minutes`);
  const folder = await preparePythonProgram(programs, wanted, {
    python: options.python,
    async complete(program) {
      const specification = await askSpecification(config, programs, program);
      const definition = toDefinition(program, role, slug, specification);
      writeFileSync(path.join(program.folder, 'component.json'), JSON.stringify(definition, null, 1), { mode: 0o644 });
    },
  });
  const text = readFileSync(path.join(folder, 'component.json'), 'utf8');
  const definition = JSON.parse(text) as Definition;
  // From here on the server knows it.
  writePrivateFile(path.join(connectors, `${definition.id}.json`), text);
  printConnector(definition, options.json === true);
}

export async function connectorList(options: ConfigFlags): Promise<void> {
  const { config } = loadFromFlags(options);
  const all = installed(config.dataDirectory);
  if (options.json) printLine(JSON.stringify(all.map(summary)));
  else for (const one of all) printConnector(one, false);
}

export async function connectorRemove(name: string, options: ConfigFlags): Promise<void> {
  const { config } = loadFromFlags(options);
  const wanted = parsePackage(name).name;
  const { connectors, programs } = foldersOf(config.dataDirectory);
  const found = installed(config.dataDirectory).find(({ data }) => data.definition.uri === wanted);
  if (!found) throw new AppError('invalid', 'command.not-installed', `${wanted} is not installed.`);
  rmSync(path.join(connectors, `${found.id}.json`));
  for (const folder of readdirSync(programs))
    if (folder.startsWith(`${wanted}-`) && /^\d/.test(folder.slice(wanted.length + 1)))
      rmSync(path.join(programs, folder), { recursive: true, force: true });
  printLine(options.json ? JSON.stringify(summary(found)) : `removed ${wanted}`);
}

function installed(dataDirectory: string): Definition[] {
  const { connectors } = foldersOf(dataDirectory);
  const names = existsSync(connectors) ? readdirSync(connectors).filter((name) => name.endsWith('.json')) : [];
  return names.sort().map((name) => JSON.parse(readFileSync(path.join(connectors, name), 'utf8')) as Definition);
}

const summary = ({ id, name, data, connector: { role, uuid, slug } }: Definition) => {
  const { uri, tag } = data.definition;
  return { package: uri, version: tag, role, name, type: slug, definitionId: uuid, componentId: id };
};

function printConnector(definition: Definition, isJson: boolean): void {
  const one = summary(definition);
  if (isJson) printLine(JSON.stringify(one));
  else printLine(`${one.package} ${one.version}: ${one.role} "${one.type}" (definition ${one.definitionId})`);
}

function roleOf(name: string): { role: Role; slug: string } {
  const [, role, slug] = /^airbyte-(source|destination)-(.+)$/.exec(name) ?? [];
  if (role === undefined || slug === undefined)
    throw new AppError(
      'invalid',
      'command.cannot-install',
      `${name} is no connector: those are named airbyte-source-... or airbyte-destination-...`,
    );
  return { role: role as Role, slug };
}

function toDefinition({ name, version, script }: PythonProgram, role: Role, slug: string, told: Specification) {
  const list = JSON.parse(
    readFileSync(path.join(packageRoot, 'components', 'known-connectors.json'), 'utf8'),
  ) as Known[];
  const known = list.find((one) => one.role === role && one.slug === slug);
  const title = known?.name ?? slug;
  return {
    id: known?.id ?? `airbyte.${role}-${slug}`,
    type: role === 'source' ? 'extractor' : 'writer',
    name: title,
    description: role === 'source' ? `Reads from ${title}` : `Writes to ${title}`,
    ...(told.documentationUrl !== undefined && { documentationUrl: told.documentationUrl }),
    directory: path.join('programs', `${name}-${version}`),
    run: { command: ['{directory}/bin/python', `{directory}/bin/${script}`] },
    data: {
      definition: { type: 'command', uri: name, tag: version },
      memory: '2g',
      process_timeout: 86400,
      network: 'bridge',
    },
    connector: {
      role,
      uuid: known?.uuid ?? uuidOf(name),
      slug,
      image: known?.image ?? `airbyte/${role}-${slug}`,
      version,
      isKnown: known !== undefined,
      specification: told.connectionSpecification,
      ...(role === 'destination' && { modes: modesOf(told.supported_destination_sync_modes ?? ['append']) }),
    },
  };
}

/** The same in every installation, as those of known connectors are. */
function uuidOf(name: string): string {
  const hex = createHash('sha256').update(`pypi:${name}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function modesOf(supported: string[]): string[] {
  const modes = supported.filter((mode) => ['append', 'overwrite', 'append_dedup'].includes(mode));
  return modes.includes('overwrite') && modes.includes('append_dedup') ? [...modes, 'overwrite_dedup'] : modes;
}
