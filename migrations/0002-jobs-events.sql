-- What is to be done (jobs, which are the queue themselves) and what has happened (events).

set local search_path = millrace;

create table jobs (
  id bigint primary key default nextval('object_id'),
  project_id integer not null references projects (id),
  branch_id bigint not null references branches (id),
  kind text not null,
  lane text not null constraint jobs_lane_known check (lane in ('storage', 'component')),
  status text not null default 'created' constraint jobs_status_known check (
    status in ('created', 'waiting', 'running', 'stopping', 'succeeded', 'failed', 'stopped', 'cancelled')),
  component_id text,
  configuration_id text,
  configuration_row_ids text[] not null default '{}',
  mode text not null default 'run' constraint jobs_mode_known check (mode in ('run', 'debug', 'forceRun')),
  tag text,
  -- json, not jsonb: what people sent is answered with its keys in their order.
  input json not null default '{}',
  result json,
  error json,
  -- Collation C: "is below this run" is a range scan from '<run>.' to '<run>/'.
  run_id text collate "C" not null,
  parent_run_id text collate "C" not null default '',
  object_id text,
  -- Jobs of a project with the same lock key run one at a time, in the order of their ids.
  lock_key text,
  dedupe_key text,
  token_id bigint not null,
  token_description text not null,
  origin json not null default '{}',
  created_at timestamptz not null default now(),
  available_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  -- How often a worker has taken the job, not counting the times it handed it back on shutdown.
  attempt integer not null default 0,
  -- How often it ended in an error that may pass; decides when retrying is given up.
  failures integer not null default 0,
  worker_id text,
  -- New at each claim. Whoever holds an older one has lost the job and can commit nothing for it.
  claim_token uuid,
  lease_expires_at timestamptz,
  handle json,
  metrics json not null default '{}',
  usage json not null default '[]',
  constraint jobs_lease check (status not in ('running', 'stopping') or (claim_token is not null and lease_expires_at is not null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

create index jobs_queued on jobs (lane, project_id, id) where status in ('created', 'waiting');
create index jobs_running on jobs (lane, project_id) where status in ('running', 'stopping');
create index jobs_lock_unfinished on jobs (project_id, lock_key, id)
  where lock_key is not null and status in ('created', 'waiting', 'running', 'stopping');
-- The database's own word on "one at a time", whatever a claimer believes.
create unique index jobs_one_running_per_lock on jobs (project_id, lock_key)
  where lock_key is not null and status in ('running', 'stopping');
create unique index jobs_dedupe_unique on jobs (project_id, dedupe_key) where dedupe_key is not null;
create index jobs_project on jobs (project_id, lane, id);
create index jobs_run on jobs (project_id, run_id);
create index jobs_configuration on jobs (project_id, component_id, configuration_id, id) where component_id is not null;

-- The log. Its order is (xid, id): ids are handed out before commit, so by id alone a reader that remembers the last
-- one it saw would skip whatever commits late. Rows below pg_snapshot_xmin are complete for ever.
create table events (
  id bigint generated always as identity primary key,
  xid xid8 not null default pg_current_xact_id(),
  uuid uuid not null constraint events_uuid_unique unique,
  project_id integer not null references projects (id),
  branch_id bigint,
  name text not null,
  component text not null,
  type text not null constraint events_type_known check (type in ('info', 'success', 'warn', 'error')),
  message text not null,
  description text not null default '',
  object_type text,
  object_id text,
  object_name text,
  configuration_id text,
  run_id text collate "C",
  token_id bigint,
  token_name text,
  params json not null default '{}',
  results json not null default '{}',
  performance json not null default '{}',
  duration_seconds double precision,
  remote_address text,
  user_agent text,
  created_at timestamptz not null default now()
);
create index events_project on events (project_id, xid, id);
create index events_run on events (project_id, run_id, xid, id) where run_id is not null;
create index events_object on events (project_id, object_type, object_id, xid, id) where object_id is not null;
create index events_configuration on events (project_id, component, configuration_id, xid, id);
create index events_token on events (project_id, token_id, xid, id);
