import { type Deferred, deferred } from '../../../lib/deferred.ts';

/**
 * What all uploads of a process hold in memory together. One that wants to read on waits while there is too much and
 * something is on its way to the store; when nothing is, waiting would help nobody.
 */
export class UploadBuffers {
  readonly #limitBytes: number;
  #bytes = 0;
  #sending = 0;
  #waiting: Deferred<void>[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** The share of one upload, which ends with it however it ends. */
  open(): UploadShare {
    let held = 0;
    const count = (bytes: number) => {
      held += bytes;
      this.#bytes += bytes;
    };
    return {
      take: async (bytes) => {
        count(bytes);
        while (this.#bytes > this.#limitBytes && this.#sending > 0) {
          const turn = deferred<void>();
          this.#waiting.push(turn);
          await turn.promise;
        }
      },
      send: async (bytes, act) => {
        this.#sending++;
        try {
          return await act();
        } finally {
          this.#sending--;
          count(-bytes);
          this.#wake();
        }
      },
      close: () => {
        count(-held);
        this.#wake();
      },
    };
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const turn of waiting) turn.resolve();
  }
}

export type UploadShare = {
  take(bytes: number): Promise<void>;
  /** The bytes are given back when the sending is over. */
  send<T>(bytes: number, act: () => Promise<T>): Promise<T>;
  close(): void;
};
