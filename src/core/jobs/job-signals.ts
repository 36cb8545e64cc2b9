import { EventEmitter } from 'node:events';
import type { Database, Transaction } from '../../db/database.ts';
import { uuidv4 } from '../../lib/ids.ts';
import type { Job } from './job-model.ts';
import { notifyJobs } from './job-queue-store.ts';

/**
 * Hints between whoever changes jobs and whoever waits for a change: at once inside this process, by NOTIFY to the
 * others. Hints only: every listener polls as well.
 */
type Signals = {
  /** There may be something to claim. */
  wake: [];
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

  async wake(tx: Transaction): Promise<void> {
    await notifyJobs(tx, `${this.#sender} wake`);
    tx.afterCommit(() => this.#emitter.emit('wake'));
  }

  async stop(tx: Transaction): Promise<void> {
    await notifyJobs(tx, `${this.#sender} stop`);
    tx.afterCommit(() => this.#emitter.emit('stop'));
  }

  async end(tx: Transaction, job: Job): Promise<void> {
    await notifyJobs(tx, `${this.#sender} end ${job.id}`);
    tx.afterCommit(() => {
      this.#emitter.emit('end', job.id, job);
      // Something may have waited for this job's lock or place.
      this.#emitter.emit('wake');
    });
  }

  #receive(payload: string): void {
    const [sender, name, id] = payload.split(' ');
    if (sender === this.#sender) return;
    if (name === 'stop') this.#emitter.emit('stop');
    if (name === 'end') this.#emitter.emit('end', Number(id), undefined);
    if (name === 'wake' || name === 'end') this.#emitter.emit('wake');
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
