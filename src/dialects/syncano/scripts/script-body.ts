import { type FieldProblems, objectErrors } from '../../../core/objects/object-errors.ts';
import {
  type NewScript,
  SCRIPT_LIMITS,
  SCRIPT_RUNTIMES,
  type ScriptConfig,
  type ScriptPatch,
} from '../../../core/scripts/script-model.ts';
import type { Json } from '../../../lib/json.ts';
import { jsonMember } from '../body.ts';

/** The body of a POST on the list, or of a PUT. */
export function readNewScript(body: object): NewScript {
  const { label = '', runtime = '', ...rest } = readScript(body, true);
  const { description, source, config } = rest;
  return {
    label,
    runtime,
    ...(description !== undefined && { description }),
    ...(source !== undefined && { source }),
    ...(config !== undefined && { config }),
  };
}

/** All problems are told at once. */
export function readScript(body: object, isWhole: boolean): ScriptPatch {
  const members = body as Record<string, unknown>;
  const problems: FieldProblems = {};
  const text = (name: string, isRequired: boolean, maxLength: number): string | undefined => {
    const value = members[name];
    if (value === undefined) {
      if (isRequired) problems[name] = ['This field is required.'];
      return undefined;
    }
    const found = value === null ? 'This field may not be null.' : textProblem(value, isRequired, maxLength);
    if (found !== undefined) problems[name] = [found];
    return String(value);
  };
  const patch: ScriptPatch = {
    label: text('label', isWhole, SCRIPT_LIMITS.labelLength),
    description: text('description', false, 10_000),
    runtime: text('runtime_name', isWhole, 64),
    source: text('source', false, SCRIPT_LIMITS.sourceBytes),
  };
  if (patch.runtime !== undefined && !problems.runtime_name && !isRuntime(patch.runtime))
    problems.runtime_name = [`"${patch.runtime}" is not a valid choice.`];
  const config = members.config === undefined ? undefined : jsonMember(members.config);
  const problem = config === undefined ? undefined : configProblem(config);
  if (problem !== undefined) problems.config = [problem];
  if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
  return { ...patch, config: config as ScriptConfig | undefined };
}

/** What a run is given. */
export function readPayload(body: object): Json {
  const { payload } = body as { payload?: unknown };
  if (payload === undefined || payload === null || payload === '') return {};
  const value = jsonMember(payload);
  if (typeof value !== 'object' || value === null)
    throw objectErrors.invalid({ payload: ['Payload passed in invalid format. Expected JSON object or array.'] });
  return value as Json;
}

export function configProblem(config: unknown): string | undefined {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return 'Config passed in invalid format.';
  const keys = Object.keys(config);
  const { configKeys, configKeyLength, configBytes } = SCRIPT_LIMITS;
  if (keys.length > configKeys) return `Too many keys defined (exceeds ${configKeys}).`;
  if (keys.some((key) => key.length > configKeyLength)) return `Too long key defined (exceeds ${configKeyLength}).`;
  if (Buffer.byteLength(JSON.stringify(config)) > configBytes) return 'Config is too big.';
  return undefined;
}

function textProblem(value: unknown, isRequired: boolean, maxLength: number): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return 'Not a valid string.';
  const text = String(value);
  if (isRequired && text.trim() === '') return 'This field may not be blank.';
  if (text.includes('\0')) return 'Null characters are not allowed.';
  // Characters are never more than their bytes, which the core limits.
  if (text.length > maxLength || Buffer.byteLength(text) > Math.max(maxLength, SCRIPT_LIMITS.labelLength * 4))
    return `Ensure this field has no more than ${maxLength} characters.`;
  return undefined;
}

const isRuntime = (name: string) => SCRIPT_RUNTIMES.some((known) => known.name === name);
