import { randomBytes } from 'node:crypto';
import { Events } from '../../src/core/events/events.ts';
import type { Actor } from '../../src/core/identity/actor.ts';
import { Identity } from '../../src/core/identity/identity.ts';
import type { NewToken } from '../../src/core/identity/token-model.ts';
import type { Credentials, ProjectCredentials } from '../../src/core/projects/credentials.ts';
import { Projects } from '../../src/core/projects/projects.ts';
import { Secrets } from '../../src/core/secrets/secrets.ts';
import { Lakes } from '../../src/core/tables/lakes.ts';
import type { Database } from '../../src/db/database.ts';

export type TestProject = {
  events: Events;
  identity: Identity;
  projects: Projects;
  secrets: Secrets;
  /** The master token's actor, and its secret. */
  actor: Actor;
  storageToken: string;
  credentials: Credentials;
  /** A further tenant. */
  newProject(name: string): Promise<ProjectCredentials>;
  /** A further token of the project, by its rights. */
  tokenActor(rights: Omit<NewToken, 'description'>): Promise<Actor & { secret: string }>;
};

/** The parts of core under everything else, with the first project in the database. */
export async function testProject(db: Database, key = randomBytes(32)): Promise<TestProject> {
  const events = new Events({ db });
  const secrets = new Secrets(key);
  const identity = new Identity({ db, events, secrets });
  const lakes = new Lakes({ directory: '/nonexistent' });
  const projects = new Projects({ db, identity, events, lakes });
  const credentials = await projects.bootstrap();
  if (!credentials) throw new Error('the test database is not fresh');
  const storageToken = credentials.keboola.storageToken;
  const actor = await identity.authenticateStorageToken(storageToken);
  return {
    events,
    identity,
    projects,
    secrets,
    actor,
    storageToken,
    credentials,
    newProject: async (name) =>
      projects.create(await identity.authenticateManageToken(credentials.keboola.manageToken), { name }),
    async tokenActor(rights) {
      const { secret } = await identity.createToken(actor, { description: 'test token', ...rights });
      return { ...(await identity.authenticateStorageToken(secret)), secret };
    },
  };
}
