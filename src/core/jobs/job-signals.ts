import { EventEmitter } from 'node:events';
import type { Database, Transaction } from '../../db/database.ts';
import { uuidv4 } from '../../lib/ids.ts';
import type { Job, JobLane } from './job-model.ts';
import { notifyJobs } from './job-queue-store.ts';

/**
 * Hints between whoever changes jobs and whoever waits for a change: at once inside this process, by NOTIFY to the
 * others. Hints only: every listener polls as well.
 */
type Signals = {
  /** There may be something to claim, in that lane or in any. */
  wake: [lane: JobLane | undefined];
  /** A running job was asked to stop. */
  stop: [];
  /** A job is over; with the job itself where it ended in this process. */
  end: [id: number, job: Job | undefined];
};

export class JobSignals {
  readonly #db: Database;
  readonly #emitter = new EventEmitter<Signals>().setMaxListeners(0);
  /** Marks our own notifications, which come back to us as well. */
  readonly #sender = uuidv4();
  #listening = false;

  constructor(db: Database) {
    this.#db = db;
  }

  on<Name extends keyof Signals>(name: Name, listener: (...args: Signals[Name]) => void): () => void {
    this.#listen();
    this.#emitter.on(name, listener as never);
    return () => this.#emitter.off(name, listener as never);
  }

  /** The text to notify others with; who changes a job does that in the same statement. */
  hint(name: keyof Signals, detail: string | number = ''): string {
    return `${this.#sender} ${name} ${detail}`;
  }

  /** With the commit, everybody in this process hears that there is a job in the lane. */
  afterCreate(tx: Transaction, lane: JobLane): void {
    tx.afterCommit(() => this.#emitter.emit('wake', lane));
  }

  /** With the commit, everybody in this process hears of the end. */
  afterEnd(tx: Transaction, job: Job): void {
    tx.afterCommit(() => this.#emitter.emit('end', job.id, job));
  }

  /** Tells all processes, this one included, to look what was killed. */
  async stop(tx: Transaction): Promise<void> {
    await notifyJobs(tx, this.hint('stop'));
    tx.afterCommit(() => this.#emitter.emit('stop'));
  }

  /** Tells all processes of a job that ended without having run. */
  async end(tx: Transaction, job: Job): Promise<void> {
    await notifyJobs(tx, this.hint('end', job.id));
    this.afterEnd(tx, job);
  }

  #receive(payload: string): void {
    const [sender, name, detail] = payload.split(' ');
    if (sender === this.#sender) return;
    if (name === 'stop') this.#emitter.emit('stop');
    if (name === 'end') this.#emitter.emit('end', Number(detail), undefined);
    if (name === 'wake') this.#emitter.emit('wake', undefined);
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#db
      .listen('jobs', (payload) => this.#receive(payload))
      .catch(() => {
        // Tried again with the next listener; until then polling has to do.
        this.#listening = false;
      });
  }
}
