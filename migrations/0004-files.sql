-- Files: what was announced, and which blobs of it are really there.

set local search_path = millrace;

create table files (
  id bigint primary key default nextval('object_id'),
  project_id integer not null references projects (id),
  name text not null,
  -- As announced by the client; what is stored is the sum over file_blobs.
  announced_bytes bigint,
  content_type text,
  is_sliced boolean not null default false,
  is_public boolean not null default false,
  is_permanent boolean not null default false,
  is_encrypted boolean not null default true,
  -- The platform wrote the slices itself, so there is no manifest blob: it is made from file_blobs when asked for.
  is_server_made boolean not null default false,
  tags text[] not null default '{}',
  max_age_days integer,
  expires_at timestamptz,
  -- Set when an expired file's content was deleted; the row stays a while for listings of expired files.
  contents_removed_at timestamptz,
  run_id text,
  run_ids text[] not null default '{}',
  creator_token_id bigint not null,
  creator_token_description text not null,
  -- Every file has a container of its own, so that a signature for one file opens no other.
  container text not null constraint files_container_unique unique,
  blob_name text not null,
  created_at timestamptz not null default now()
);
create index files_project on files (project_id, id);
create index files_tags on files using gin (tags);
create index files_run on files (project_id, run_id) where run_id is not null;
create index files_expiring on files (expires_at) where expires_at is not null;

-- The truth about which blobs are complete. A blob that is written anew gets a new storage key, so the row and the
-- content it names always belong together; content that no row names is swept.
create table file_blobs (
  file_id bigint not null references files (id) on delete cascade,
  name text collate "C" not null,
  storage_key text not null constraint file_blobs_storage_key_unique unique,
  size_bytes bigint not null,
  content_type text,
  content_encoding text,
  content_disposition text,
  etag text not null,
  modified_at timestamptz not null default now(),
  -- Order of the slices of a file that the platform made.
  position integer not null default 0,
  -- [[block id, size in bytes], ...] of a blob that was uploaded in blocks: a later block list may refer to them.
  blocks json,
  primary key (file_id, name)
);
