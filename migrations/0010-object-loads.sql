-- What was loaded into classes by jobs: written in the transaction of the load itself, so that a job that starts over
-- after a crash finds that its rows are there already.
set local search_path = millrace;

create table object_loads (
  id text primary key,
  project_id integer not null references projects (id),
  result jsonb not null,
  created_at timestamptz not null default now()
);
create index object_loads_age on object_loads (created_at);
