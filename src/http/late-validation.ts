import { createRequire } from 'node:module';
import type { FastifySchemaCompiler } from 'fastify';

type Validate = ((value: unknown) => boolean) & { errors?: unknown };
type Builder = (schemas: unknown, options: unknown) => (route: unknown) => Validate;

/**
 * Fastify's own validators, each compiled at its first use. All of them together are a tenth of the time in which the
 * server starts, and most are never needed. Ajv is fastify's dependency, so it is looked for from there.
 */
export function buildLateValidators(schemas: unknown, options: unknown): FastifySchemaCompiler<unknown> {
  let compile: ReturnType<Builder> | undefined;
  return (route) => {
    let validate: Validate | undefined;
    return (value: unknown) => {
      compile ??= loadBuilder()(schemas, options);
      validate ??= compile(route);
      return validate(value) ? { value } : { error: validate.errors as never };
    };
  };
}

function loadBuilder(): Builder {
  const fastify = createRequire(import.meta.url).resolve('fastify');
  return (createRequire(fastify)('@fastify/ajv-compiler') as () => Builder)();
}
