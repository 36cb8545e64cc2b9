import { type FieldProblems, objectErrors } from '../../../core/objects/object-errors.ts';
import type { NewScriptEndpoint, ScriptEndpointPatch } from '../../../core/scripts/script-model.ts';

/** The body of a POST on the list. */
export function readNewEndpoint(body: object): NewScriptEndpoint {
  const { name } = body as { name?: unknown };
  const problems: FieldProblems = {};
  if (name === undefined) problems.name = ['This field is required.'];
  else if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(name))
    problems.name = ['Enter a valid "slug" of at most 64 letters, numbers, underscores or hyphens.'];
  const { scriptId = 0, description, isPublic } = readPatch(body, true, problems);
  return {
    name: String(name),
    scriptId,
    ...(description !== undefined && { description }),
    ...(isPublic !== undefined && { isPublic }),
  };
}

/** The name never changes. */
export function readEndpointPatch(body: object, isWhole: boolean): ScriptEndpointPatch {
  return readPatch(body, isWhole, {});
}

function readPatch(body: object, isWhole: boolean, problems: FieldProblems): ScriptEndpointPatch {
  const { description, script, public: open } = body as Record<string, unknown>;
  const scriptId = typeof script === 'string' && /^\d{1,15}$/.test(script) ? Number(script) : script;
  if (script === undefined) {
    if (isWhole) problems.script = ['This field is required.'];
  } else if (typeof scriptId !== 'number' || !Number.isSafeInteger(scriptId) || scriptId < 0)
    problems.script = [
      `Incorrect type. Expected pk value, received ${typeof script === 'string' ? 'str' : typeof script}.`,
    ];
  if (description !== undefined && (typeof description !== 'string' || description.includes('\0')))
    problems.description = ['Not a valid string.'];
  const isPublic = open === 'true' || open === 'false' ? open === 'true' : open;
  if (isPublic !== undefined && typeof isPublic !== 'boolean')
    problems.public = [`"${String(open)}" is not a valid boolean.`];
  if (Object.keys(problems).length > 0) throw objectErrors.invalid(problems);
  return {
    scriptId: scriptId as number | undefined,
    description: description as string | undefined,
    isPublic: isPublic as boolean | undefined,
  };
}
