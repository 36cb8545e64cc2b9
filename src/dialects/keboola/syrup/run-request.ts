import { AppError } from '../../../core/errors.ts';

const ALLOWED = [
  'component',
  'config',
  'row',
  'configData',
  'mode',
  'tag',
  'format',
  'variableValuesId',
  'variableValuesData',
  'branchId',
];

export type RunBody = {
  config: string | undefined;
  row: string | undefined;
  hasConfigData: boolean;
  format: string | undefined;
  variableValuesId: string | undefined;
  variableValuesData: { values: { name: string; value: string }[] } | undefined;
};

/**
 * The body of a Syrup run. Unlike the Queue it refuses parameters it does not know. Component, mode, tag and branch in
 * the body are allowed and ignored: those of the URL hold.
 */
export function parseRunBody(body: Record<string, unknown>): RunBody {
  for (const key of Object.keys(body)) {
    if (!ALLOWED.includes(key)) {
      const allowed = ALLOWED.map((name) => `'${name}'`).join(', ');
      throw invalid(`Parameter '${key}' is not allowed. Allowed params are ${allowed}.`);
    }
  }
  const config = scalar(body, 'config', "Body parameter 'config' is not a number.");
  const row = scalar(body, 'row', "Body parameter 'row' is not a string.");
  const { configData } = body;
  if (config === undefined && (configData === undefined || configData === null)) {
    // A row is named by configuration and row; of the two complaints this is the one that helps.
    throw invalid(row === undefined ? "Specify 'config' or 'configData'." : "Specify both 'row' and 'config'.");
  }
  if (row !== undefined && config === undefined) throw invalid("Specify both 'row' and 'config'.");
  if (configData !== undefined && configData !== null && typeof configData !== 'object') {
    throw invalid("Body parameter 'configData' is not an object.");
  }
  return {
    config,
    row,
    hasConfigData: isGiven(configData, config === undefined),
    format: scalar(body, 'format', "Body parameter 'format' is not a string."),
    variableValuesId: scalar(body, 'variableValuesId', "Body parameter 'variableValuesId' is not a string."),
    variableValuesData: variableValues(body.variableValuesData),
  };
}

/** PHP clients write an empty object as a list: beside a stored configuration that means none. */
function isGiven(configData: unknown, isAlone: boolean): boolean {
  if (configData === undefined || configData === null) return false;
  return isAlone || !Array.isArray(configData) || configData.length > 0;
}

function scalar(body: Record<string, unknown>, key: string, complaint: string): string | undefined {
  const value = body[key];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw invalid(complaint);
}

function variableValues(value: unknown): RunBody['variableValuesData'] {
  const values = (value as { values?: unknown } | null | undefined)?.values;
  if (!Array.isArray(values)) return undefined;
  return {
    values: values.map((item: unknown) => {
      const { name, value: text } = (item ?? {}) as { name?: unknown; value?: unknown };
      if (typeof name !== 'string' || name === '' || (typeof text !== 'string' && typeof text !== 'number')) {
        throw invalid("Body parameter 'variableValuesData' must have values with name and value.");
      }
      return { name, value: String(text) };
    }),
  };
}

function invalid(message: string): AppError {
  return new AppError('invalid', 'run.invalid', message);
}
