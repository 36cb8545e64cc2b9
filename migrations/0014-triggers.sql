-- Who reads the log of events and how far, and the triggers that start jobs when tables change.

set local search_path = millrace;

-- One row per consumer. Everything up to and with (xid, id) is done; the row is locked while more is being done, and
-- moves on in the transaction of what was done, so that each event has its effect once.
create table event_cursors (
  consumer text primary key,
  xid xid8 not null,
  id bigint not null
);
-- The log of all projects in its order, for the consumers.
create index events_log on events (xid, id);

create table triggers (
  id bigint primary key default nextval('object_id'),
  project_id integer not null references projects (id),
  branch_id bigint not null references branches (id),
  component_id text not null,
  configuration_id text not null,
  cool_down_minutes integer not null,
  run_with_token_id bigint not null,
  creator_token_id bigint not null,
  creator_token_description text not null,
  is_enabled boolean not null default true,
  -- Set while there are changes that no run has been started for.
  due_at timestamptz(3),
  last_run_at timestamptz(3),
  last_job_id bigint,
  -- Why the last time it was due nothing was started.
  problem text,
  created_at timestamptz not null default now(),
  constraint triggers_cool_down check (cool_down_minutes >= 1),
  constraint triggers_enabled check (is_enabled or due_at is null)
) with (fillfactor = 80);
create index triggers_due on triggers (due_at) where due_at is not null;
create index triggers_project on triggers (project_id, component_id, id);
create index triggers_token on triggers (run_with_token_id);

-- By id and not by reference: a table that is dropped and made again is the same one to whoever waits for its rows.
create table trigger_tables (
  trigger_id bigint not null references triggers (id) on delete cascade,
  position integer not null,
  table_id text not null,
  primary key (trigger_id, table_id)
);
create index trigger_tables_table on trigger_tables (table_id);
