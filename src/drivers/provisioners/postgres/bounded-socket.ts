import { Socket } from 'node:net';
import { AppError } from '../../../core/errors.ts';

/** A row that somebody may look at, a message of an error: nothing of these is longer in good faith. */
const MESSAGE_MAX_BYTES = 16 * 1024 * 1024;
const COPY_DATA = 'd'.charCodeAt(0);
/** A letter for the kind, then the length in four bytes, which counts itself. */
const HEAD_BYTES = 5;

/**
 * The way to a database whose answers are made by other people. The client reads every message as a whole before
 * anybody sees it, so one of a gigabyte would take our memory; it is refused by its length. Rows of a COPY are read in
 * pieces and may have any.
 */
export class BoundedSocket extends Socket {
  #head: number[] = [];
  /** Of the message that is being read. */
  #leftBytes = 0;

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (chunk !== null && !this.#isAcceptable(chunk)) {
      this.destroy(new AppError('invalid', 'workspace.table-load', 'The workspace answered with too long a message.'));
      return false;
    }
    return super.push(chunk, encoding);
  }

  #isAcceptable(chunk: Buffer): boolean {
    for (let at = 0; at < chunk.length; ) {
      const inside = Math.min(this.#leftBytes, chunk.length - at);
      this.#leftBytes -= inside;
      at += inside;
      while (this.#leftBytes === 0 && at < chunk.length && this.#head.length < HEAD_BYTES) {
        this.#head.push(chunk[at++] ?? 0);
      }
      if (this.#head.length < HEAD_BYTES) continue;
      const [kind, ...length] = this.#head;
      this.#head = [];
      this.#leftBytes = Math.max(0, Buffer.from(length).readUInt32BE() - 4);
      if (kind !== COPY_DATA && this.#leftBytes > MESSAGE_MAX_BYTES) return false;
    }
    return true;
  }
}
