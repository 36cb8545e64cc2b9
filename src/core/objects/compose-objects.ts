import type { Database } from '../../db/database.ts';
import type { Engine } from '../../drivers/engines/contract.ts';
import type { Events } from '../events/events.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { TableRows } from '../tables/table-rows.ts';
import { Classes } from './classes.ts';
import { EndUsers } from './end-users.ts';
import { Groups } from './groups.ts';
import { ObjectLoads } from './object-loads.ts';
import { Objects } from './objects.ts';

/** Everything about data objects and the end users of projects, wired. */
export function composeObjects({
  db,
  engine,
  events,
  secrets,
}: {
  db: Database;
  engine: Engine;
  events: Events;
  secrets: Secrets;
}) {
  const rows = new TableRows({ db, engine });
  const classes = new Classes({ db, events, rows });
  const objects = new Objects({ db, classes, rows });
  const endUsers = new EndUsers({ db, events, secrets, classes, objects });
  return {
    classes,
    objects,
    objectLoads: new ObjectLoads({ db, events, classes, objects }),
    endUsers,
    groups: new Groups({ db, events, endUsers }),
  };
}
