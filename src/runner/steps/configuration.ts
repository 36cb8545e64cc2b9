import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunDefinition } from '../../core/components/run-definition.ts';
import type { Json } from '../../lib/json.ts';
import type { JobRun, RowRun } from '../job-run.ts';
import { runErrors } from '../run-errors.ts';
import {
  asMap,
  assertNoComponentSecrets,
  type CheckedConfiguration,
  checkConfiguration,
  configObject,
  printJson,
} from './config-file.ts';

type Container = { [key: string]: Json };

/** The configuration with its secrets readable, which from then on are hidden in everything the job says. */
export function openConfiguration(
  run: JobRun,
  definition: RunDefinition,
): { checked: CheckedConfiguration; state: Container } {
  const { core } = run.parts;
  const scope = {
    projectId: run.ctx.job.projectId,
    componentId: definition.componentId,
    ...(definition.configurationId !== undefined && { configurationId: definition.configurationId }),
  };
  const configuration = core.secrets.decryptTree(definition.configuration, scope);
  const state = core.secrets.decryptTree(definition.state, scope);
  run.log.hide([...configuration.secrets, ...state.secrets]);
  assertNoComponentSecrets(imageParameters(run), asMap(configuration.value));
  return { checked: checkConfiguration(asMap(configuration.value)), state: asMap(state.value) };
}

const imageParameters = ({ component }: JobRun) => (component.data.image_parameters ?? {}) as Container;

/** config.json and in/state.json. */
export async function writeConfiguration(run: JobRun, row: RowRun): Promise<void> {
  const config = configObject(row.checked, imageParameters(run));
  const format = run.component.data.configuration_format ?? 'json';
  if (format !== 'json') throw runErrors.crashed(`Component definition is invalid: configuration_format "${format}"`);
  await Promise.all([
    writeFile(join(row.paths.data, 'config.json'), printJson(config), { mode: 0o600 }),
    writeFile(join(row.paths.data, 'in', 'state.json'), printJson(row.state.component ?? {}), { mode: 0o600 }),
  ]);
}

/** What a program is told about where it runs. `{data}` is replaced by the runtime. */
export async function componentEnvironment(run: JobRun, row: RowRun): Promise<Record<string, string>> {
  const { ctx, component, parts } = run;
  if (component.data.forward_token === true) throw runErrors.unsupported('forward_token of the component');
  const project = await parts.core.projects.get(ctx.actor);
  const { definition, checked } = row;
  const features = [...new Set(['queuev2', ...project.features])];
  const support = (component as { dataTypesConfiguration?: { dataTypesSupport?: string } }).dataTypesConfiguration;
  return {
    KBC_DATADIR: '{data}/',
    KBC_RUNID: String(ctx.job.id),
    KBC_PROJECTID: String(ctx.job.projectId),
    KBC_CONFIGID: definition.configurationId ?? hashOf(checked.configuration.parameters ?? {}),
    KBC_CONFIGVERSION: definition.version === undefined ? '' : String(definition.version),
    ...(definition.rowId !== undefined && { KBC_CONFIGROWID: definition.rowId }),
    KBC_COMPONENTID: component.id,
    KBC_STACKID: URL.canParse(parts.publicUrl()) ? new URL(parts.publicUrl()).host : 'localhost',
    KBC_STAGING_FILE_PROVIDER: 'azure',
    KBC_PROJECT_FEATURE_GATES: features.join(','),
    KBC_COMPONENT_RUN_MODE: 'run',
    ...(features.includes('new-native-types') && { KBC_DATA_TYPE_SUPPORT: support?.dataTypesSupport ?? 'none' }),
    KBC_BRANCHID: String(ctx.job.branchId),
  };
}

/** Only has to stay the same for the same parameters. */
const hashOf = (value: Json) => createHash('sha1').update(JSON.stringify(value)).digest('hex');
