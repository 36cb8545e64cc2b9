-- What is to be run when, for all dialects. A schedule has a configuration of a component for its target; each time it is
-- due a scheduler makes one job and moves next_run_at on, both in one transaction.

set local search_path = millrace;

create table schedules (
  id bigint primary key default nextval('object_id'),
  project_id integer not null references projects (id),
  branch_id bigint not null references branches (id),
  name text not null default '',
  description text not null default '',
  component_id text not null,
  configuration_id text not null,
  -- What the run gets besides, in the words of the component's own runs.
  input json not null default '{}',
  -- The configuration that defines the schedule, where it is not made by itself: then only that changes it.
  definition_component_id text,
  definition_configuration_id text,
  definition_version integer,
  cron text,
  interval_seconds integer,
  timezone text not null,
  is_enabled boolean not null,
  -- In whose name the jobs run.
  token_id bigint not null,
  token_description text not null,
  -- Null: never, as long as nothing changes.
  next_run_at timestamptz(3),
  last_due_at timestamptz(3),
  last_job_id bigint,
  -- Why the last time it was due nothing was started.
  problem text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint schedules_recurrence check ((cron is null) <> (interval_seconds is null)),
  constraint schedules_enabled check (is_enabled or next_run_at is null)
) with (fillfactor = 80);

create index schedules_due on schedules (next_run_at) where next_run_at is not null;
create index schedules_project on schedules (project_id, component_id, id);
create unique index schedules_one_per_definition
  on schedules (branch_id, definition_component_id, definition_configuration_id)
  where definition_component_id is not null;

-- Which job each time led to. The key is the database's own word on "once".
create table schedule_runs (
  schedule_id bigint not null references schedules (id) on delete cascade,
  due_at timestamptz(3) not null,
  job_id bigint not null,
  primary key (schedule_id, due_at)
);
create index schedule_runs_job on schedule_runs (schedule_id, job_id);
