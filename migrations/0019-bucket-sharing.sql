-- Buckets that other projects of the organization may link, and the links: buckets without tables of their own.

set local search_path = millrace;

alter table buckets
  add column sharing text constraint buckets_sharing_known
    check (sharing in ('organization', 'organization-project', 'specific-projects', 'specific-users')),
  add column shared_with_projects integer[] not null default '{}',
  add column shared_with_persons integer[] not null default '{}',
  add column shared_by json,
  add column shared_at timestamptz,
  add column source_project_id integer,
  add column source_branch_id bigint,
  add column source_bucket_id text,
  alter column lake_schema_id drop not null,
  -- The database's own word on "nobody loses what he has linked".
  add constraint buckets_source_fkey foreign key (source_project_id, source_branch_id, source_bucket_id)
    references buckets (project_id, branch_id, id),
  -- What is linked is the owner's: it has no place in this lake, and is not passed on.
  add constraint buckets_link check (
    (source_bucket_id is null) = (lake_schema_id is not null) and (source_bucket_id is null or sharing is null));
create unique index buckets_one_link on buckets (project_id, branch_id, source_project_id, source_branch_id, source_bucket_id)
  where source_bucket_id is not null;
create index buckets_links on buckets (source_project_id, source_branch_id, source_bucket_id)
  where source_bucket_id is not null;
create index buckets_shared on buckets (project_id) where sharing is not null;
