const NEWLINE = 10;

/** Cuts chunks of bytes into lines, without copying those that lie in one chunk whole. */
export class LineSplitter {
  #carry: Buffer[] = [];

  /** The lines that end in this chunk, with their newlines. */
  *push(chunk: Buffer): Generator<Buffer> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = chunk.subarray(start, end + 1);
      start = end + 1;
      if (this.#carry.length === 0) yield line;
      else {
        const whole = Buffer.concat([...this.#carry, line]);
        this.#carry = [];
        yield whole;
      }
    }
    if (start < chunk.length) this.#carry.push(chunk.subarray(start));
  }

  /** What came after the last newline, as a line. */
  *end(): Generator<Buffer> {
    if (this.#carry.length > 0) yield Buffer.concat([...this.#carry, Buffer.from('\n')]);
    this.#carry = [];
  }
}
