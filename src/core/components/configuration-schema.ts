import { Errors } from 'typebox/schema';
import type { Json } from '../../lib/json.ts';
import { AppError } from '../errors.ts';
import type { ComponentDefinition } from './component-model.ts';

/**
 * Checks the parameters of a resolved configuration against the component's own schema. Done when a job runs and not
 * when the configuration is saved: half-made configurations are saved all the time, and variables are only known then.
 */
export function assertFitsSchema(definition: ComponentDefinition, configuration: { [key: string]: Json }): void {
  if (Object.keys(definition.configurationSchema).length === 0) return;
  const parameters = configuration.parameters;
  // An empty list is how PHP clients write an empty object.
  const value = parameters === undefined || (Array.isArray(parameters) && parameters.length === 0) ? {} : parameters;
  const [fits, problems] = Errors(definition.configurationSchema, value);
  if (fits) return;
  const lines = problems.map(
    ({ instancePath, message }) => `parameters${instancePath.replaceAll('/', '.')} ${message}`,
  );
  throw new AppError(
    'invalid',
    'configuration.schema-mismatch',
    `The configuration does not fit the component "${definition.id}": ${lines.join('; ')}.`,
    { details: { problems: lines } },
  );
}
