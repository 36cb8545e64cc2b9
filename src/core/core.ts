import type { ComponentRuns } from './components/component-runs.ts';
import type { Components } from './components/components.ts';
import type { Configurations } from './components/configurations.ts';
import type { Events } from './events/events.ts';
import type { Files } from './files/files.ts';
import type { Identity } from './identity/identity.ts';
import type { Jobs } from './jobs/jobs.ts';
import type { Classes } from './objects/classes.ts';
import type { EndUsers } from './objects/end-users.ts';
import type { Objects } from './objects/objects.ts';
import type { Projects } from './projects/projects.ts';
import type { Secrets } from './secrets/secrets.ts';
import type { Buckets } from './tables/buckets.ts';
import type { ObjectMetadata } from './tables/object-metadata.ts';
import type { Tables } from './tables/tables.ts';
import type { Workspaces } from './workspaces/workspaces.ts';

/** Everything the platform can do, one property per noun. Dialects and the runner get this and nothing below it. */
export type Core = {
  projects: Projects;
  identity: Identity;
  secrets: Secrets;
  events: Events;
  jobs: Jobs;
  tables: Tables;
  buckets: Buckets;
  files: Files;
  components: Components;
  configurations: Configurations;
  runs: ComponentRuns;
  metadata: ObjectMetadata;
  workspaces: Workspaces;
  classes: Classes;
  objects: Objects;
  endUsers: EndUsers;
};
