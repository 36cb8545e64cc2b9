import type { Database, Transaction } from '../../db/database.ts';
import { insertLake, listLakeProjects, relocateLake } from './lake-store.ts';

/**
 * The lakes of all projects: one DuckLake catalogue each, so that a project can be attached, moved and deleted by
 * itself, and none can see another's.
 */
export class Lakes {
  private readonly directory: string;
  private readonly createdBy: string;

  /** `directory` holds one folder per project; absolute, because stock clients resolve what the catalogue says. */
  constructor(options: { directory: string; createdBy?: string }) {
    this.directory = options.directory;
    this.createdBy = options.createdBy ?? 'Millrace';
  }

  /** Makes the catalogue of a new project, in the transaction that makes the project. */
  async create(tx: Transaction, projectId: number): Promise<void> {
    await insertLake(tx, projectId, this.directory, this.createdBy);
  }

  /** At start: catalogues of a data directory that was moved or restored elsewhere follow it. */
  async relocate(db: Database): Promise<void> {
    for (const projectId of await listLakeProjects(db)) await relocateLake(db, projectId, this.directory);
  }
}
