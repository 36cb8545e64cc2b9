const NEWLINE = 10;
/** Longer than every line that connectors are known to print; whatever goes on without a newline is no message. */
const MAX_LINE_BYTES = 128 * 1024 * 1024;

/** Gets the bytes in which a line lies, its first byte and the one after its newline. */
export type TakeLine = (bytes: Buffer, start: number, end: number) => void;

export class LineTooLong extends Error {
  constructor(limit: number) {
    super(`a line is longer than ${Math.floor(limit / 1024 / 1024)} MB`);
    this.name = 'LineTooLong';
  }
}

/** Cuts chunks of bytes into lines, without copying those that lie in one chunk whole. */
export class LineSplitter {
  readonly #limit: number;
  #carry: Buffer[] = [];
  #carried = 0;

  constructor(limit = MAX_LINE_BYTES) {
    this.#limit = limit;
  }

  /** The lines that end in this chunk, with their newlines. */
  push(chunk: Buffer, take: TakeLine): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const from = start;
      start = end + 1;
      if (this.#carried === 0) take(chunk, from, start);
      else {
        const whole = Buffer.concat([...this.#carry, chunk.subarray(from, start)]);
        this.#carry = [];
        this.#carried = 0;
        take(whole, 0, whole.length);
      }
    }
    if (start === chunk.length) return;
    this.#carry.push(chunk.subarray(start));
    this.#carried += chunk.length - start;
    if (this.#carried > this.#limit) throw new LineTooLong(this.#limit);
  }

  /** What came after the last newline, as a line. */
  end(take: TakeLine): void {
    if (this.#carried === 0) return;
    const whole = Buffer.concat([...this.#carry, Buffer.from('\n')]);
    this.#carry = [];
    this.#carried = 0;
    take(whole, 0, whole.length);
  }
}
