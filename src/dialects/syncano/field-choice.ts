import type { FastifyRequest } from 'fastify';
import { queryText } from './deps.ts';

const MAX_NAMES = 64;

/** Which members an answer shows: `fields` names them, `excluded_fields` leaves some out. */
export type FieldChoice = ((name: string) => boolean) | undefined;

/** Undefined, the usual case, means all. */
export function parseFieldChoice(request: FastifyRequest): FieldChoice {
  const wanted = namesOf(request, 'fields');
  const unwanted = namesOf(request, 'excluded_fields');
  if (!wanted && !unwanted) return undefined;
  return (name) => (wanted?.has(name) ?? true) && !unwanted?.has(name);
}

/** The JSON text of an object with only the chosen members. */
export function chooseFields(text: string, choice: FieldChoice): string {
  if (!choice) return text;
  return JSON.stringify(chosen(JSON.parse(text) as object, choice));
}

export function chosen(object: object, choice: FieldChoice): object {
  if (!choice) return object;
  return Object.fromEntries(Object.entries(object).filter(([name]) => choice(name)));
}

function namesOf(request: FastifyRequest, parameter: string): Set<string> | undefined {
  const text = queryText(request, parameter);
  return text === undefined ? undefined : new Set(text.split(',', MAX_NAMES).map((name) => name.trim()));
}
