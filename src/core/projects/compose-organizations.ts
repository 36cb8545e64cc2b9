import type { Database } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Events } from '../events/events.ts';
import type { Identity } from '../identity/identity.ts';
import { People } from '../identity/people.ts';
import { Memberships } from './memberships.ts';
import { Organizations } from './organizations.ts';
import { ProjectAdministration } from './project-administration.ts';
import type { Projects } from './projects.ts';

/** What manages an installation from outside of its projects. */
export function composeOrganizations(parts: {
  db: Database;
  events: Events;
  identity: Identity;
  projects: Projects;
  clock: Clock;
}) {
  return {
    organizations: new Organizations(parts),
    memberships: new Memberships(parts),
    projectAdministration: new ProjectAdministration(parts),
    people: new People(parts),
  };
}
