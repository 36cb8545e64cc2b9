import type { Json } from '../../lib/json.ts';
import { jsonMembers } from '../../lib/json-text.ts';

/** A line of a connector that is more than a log line. */
export type Message = { type: string; [key: string]: Json };

export type ConnectorFailure = { message: string; internal: string; isConfiguration: boolean };

/** Undefined for whatever is no message: connectors print all kinds of things. */
export function parseMessage(line: string): Message | undefined {
  if (!line.trimStart().startsWith('{')) return undefined;
  try {
    const value = JSON.parse(line) as Json;
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && typeof value.type === 'string')
      return value as Message;
  } catch {
    // No message.
  }
  return undefined;
}

/** Whether a line that is no message was meant to be one that must not be lost. */
export function isBrokenMessage(line: string): boolean {
  return /^\s*\{\s*"(?:type"\s*:\s*"(?:RECORD|STATE)"|record"\s*:|state"\s*:)/.test(line);
}

export function member(value: Json | undefined, ...path: string[]): Json | undefined {
  let found = value;
  for (const key of path) {
    if (typeof found !== 'object' || found === null || Array.isArray(found)) return undefined;
    found = found[key];
  }
  return found;
}

export const textOf = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined);

/** A failure that the platform itself has seen. */
export const failureBy = (message: string): ConnectorFailure => ({ message, internal: '', isConfiguration: false });

/** What a TRACE of type ERROR says. */
export function failureOf(message: Message): ConnectorFailure | undefined {
  const error = member(message, 'trace', 'error');
  if (error === undefined) return undefined;
  return {
    message: textOf(member(error, 'message')) ?? 'Something went wrong in the connector.',
    internal: textOf(member(error, 'internal_message')) ?? '',
    isConfiguration: member(error, 'failure_type') === 'config_error',
  };
}

/** The texts of a STATE, which are never parsed: they may hold numbers beyond what we can count with. */
export type StateParts =
  | { kind: 'stream'; name: string; namespace: string | undefined; state: string | undefined }
  | { kind: 'global'; text: string }
  | { kind: 'legacy'; text: string };

/** Undefined for what is no state of any kind. `line` is valid JSON. */
export function stateParts(line: string): StateParts | undefined {
  const state = jsonMembers(jsonMembers(line)?.get('state') ?? '');
  if (!state) return undefined;
  const type = JSON.parse(state.get('type') ?? '"LEGACY"') as Json;
  if (type === 'GLOBAL') return shared('global', state.get('global'));
  if (type === 'LEGACY') return shared('legacy', state.get('data'));
  if (type !== 'STREAM') return undefined;
  const stream = jsonMembers(state.get('stream') ?? '');
  const descriptor = JSON.parse(stream?.get('stream_descriptor') ?? 'null') as Json;
  const name = textOf(member(descriptor, 'name'));
  if (name === undefined) return undefined;
  const text = stream?.get('stream_state');
  const namespace = textOf(member(descriptor, 'namespace'));
  return { kind: 'stream', name, namespace, state: text === 'null' ? undefined : text };
}

function shared(kind: 'global' | 'legacy', text: string | undefined): StateParts | undefined {
  return text?.startsWith('{') ? { kind, text } : undefined;
}
