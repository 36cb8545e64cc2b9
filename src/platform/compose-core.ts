import { hkdfSync } from 'node:crypto';
import path from 'node:path';
import { Components } from '../core/components/components.ts';
import { composeConnectors } from '../core/components/compose-connectors.ts';
import { Configurations } from '../core/components/configurations.ts';
import type { Core } from '../core/core.ts';
import { Events } from '../core/events/events.ts';
import { Files } from '../core/files/files.ts';
import { Accounts } from '../core/identity/accounts.ts';
import { Identity } from '../core/identity/identity.ts';
import { ProgramKeys } from '../core/identity/program-keys.ts';
import { Jobs } from '../core/jobs/jobs.ts';
import { composeObjects } from '../core/objects/compose-objects.ts';
import { Branches } from '../core/projects/branches.ts';
import { composeOrganizations } from '../core/projects/compose-organizations.ts';
import { Projects } from '../core/projects/projects.ts';
import { ScriptEndpoints } from '../core/scripts/script-endpoints.ts';
import { Scripts, scriptRunStarters, scriptStarters } from '../core/scripts/scripts.ts';
import { Secrets } from '../core/secrets/secrets.ts';
import { Buckets } from '../core/tables/buckets.ts';
import { Lakes } from '../core/tables/lakes.ts';
import { ObjectMetadata } from '../core/tables/object-metadata.ts';
import { Tables } from '../core/tables/tables.ts';
import { WorkspaceJobs } from '../core/workspaces/workspace-jobs.ts';
import { WorkspaceTables } from '../core/workspaces/workspace-tables.ts';
import { Workspaces } from '../core/workspaces/workspaces.ts';
import type { Database } from '../db/database.ts';
import type { Engine } from '../drivers/engines/contract.ts';
import type { Filestore } from '../drivers/filestores/contract.ts';
import type { Provisioners } from '../drivers/provisioners/contract.ts';
import { systemClock } from '../lib/clock.ts';
import { packageRoot } from '../lib/package-root.ts';
import { version } from '../lib/version.ts';

export type CoreParts = {
  db: Database;
  engine: Engine;
  filestore: Filestore;
  provisioners: Provisioners;
  key: Buffer;
  home: string;
  scratch: string;
  /** Where the definitions of components lie, and how long a claim of a job holds without a heartbeat: for tests. */
  componentsDirectory?: string;
  leaseSeconds?: number;
};

/** One of everything the platform can do, over one database, engine and file store. */
export async function composeCore({
  db,
  engine,
  filestore,
  provisioners,
  key,
  home,
  scratch,
  componentsDirectory = path.join(packageRoot, 'components'),
  leaseSeconds,
}: CoreParts): Promise<{ core: Core; lakes: Lakes }> {
  const clock = systemClock;
  const events = new Events({ db });
  const secrets = new Secrets(key);
  const identity = new Identity({ db, events, clock, secrets });
  const lakes = new Lakes({ directory: path.join(home, 'lakes'), createdBy: `Millrace ${version}` });
  const projects = new Projects({ db, identity, events, lakes });
  const jobs = new Jobs({ db, events, ...(leaseSeconds !== undefined && { leaseSeconds }) });
  const signingKey = Buffer.from(hkdfSync('sha256', key, '', 'millrace blob grants', 32));
  const files = new Files({ db, filestore, events, clock, signingKey, scratchDirectory: scratch });
  const components = await Components.load(componentsDirectory, path.join(home, 'connectors'));
  const buckets = new Buckets({ db, events, jobs, clock });
  const configurations = new Configurations({ db, events, secrets, components });
  const scripts = new Scripts({ configurations, jobs });
  const starting = { starters: scriptStarters(scripts), runStarters: scriptRunStarters(scripts) };
  const connecting = composeConnectors({
    ...starting,
    db,
    events,
    identity,
    clock,
    components,
    configurations,
    secrets,
    jobs,
  });
  const tables = new Tables({ db, events, jobs, engine, clock });
  const workspaces = new Workspaces({ db, events, secrets, provisioners, clock });
  return {
    lakes,
    core: {
      projects,
      ...composeOrganizations({ db, events, identity, projects, clock }),
      identity,
      secrets,
      events,
      jobs,
      tables,
      buckets,
      branches: new Branches({ db, events, jobs, configurations, buckets }),
      files,
      components,
      configurations,
      ...connecting,
      scripts,
      scriptEndpoints: new ScriptEndpoints({ configurations, identity, projects, scripts }),
      metadata: new ObjectMetadata({ db, events, clock }),
      workspaces,
      workspaceJobs: new WorkspaceJobs({ workspaces, jobs }),
      workspaceTables: new WorkspaceTables({
        ...{ workspaces, tables, files, jobs, events },
        directory: path.join(scratch, 'workspaces'),
      }),
      ...composeObjects({ db, engine, events, secrets }),
      accounts: new Accounts({ db, events, identity, secrets }),
      programKeys: new ProgramKeys({ db, events, identity, secrets }),
    },
  };
}
