import { isDeepStrictEqual } from 'node:util';
import type { Count, Flow } from './flow.ts';
import type { StateParts } from './messages.ts';

/** A state that went to the destination and has not come back, with what stood before it. */
export type PendingState = {
  id: number;
  /** Undefined for one that we have made ourselves, so that records of a source without states are acknowledged. */
  parts: StateParts | undefined;
  counts: { flow: Flow; count: Count }[];
};

/** The states of one stream (or those of all streams together) that are on their way, in the order they were sent. */
export class PendingStates {
  #list: PendingState[] = [];

  get size(): number {
    return this.#list.length;
  }

  add(id: number, parts: StateParts | undefined, flows: readonly Flow[]): void {
    const counts = flows.map((flow) => ({ flow, count: { ...flow.emitted } }));
    this.#list.push({ id, parts, counts });
  }

  /**
   * The state that an echo means, which takes all before it along: destinations leave intermediate ones out, write
   * them anew and forget members they do not know. Where nothing tells which it is, the oldest: never ahead.
   */
  take(id: number | undefined, echo: StateParts): PendingState | undefined {
    let at = id === undefined ? -1 : this.#list.findIndex((one) => one.id === id);
    if (at < 0 && this.#list.length > 1) at = this.#list.findIndex(({ parts }) => parts && isSameState(parts, echo));
    const taken = this.#list[Math.max(0, at)];
    this.#list = this.#list.slice(Math.max(0, at) + 1);
    return taken;
  }
}

function isSameState(a: StateParts, b: StateParts): boolean {
  const value = (parts: StateParts) => (parts.kind === 'stream' ? parts.state : parts.text) ?? 'null';
  return isDeepStrictEqual(JSON.parse(value(a)), JSON.parse(value(b)));
}
