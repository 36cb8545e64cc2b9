-- The runs of a script, endpoint or schedule are listed by what they run for, newest first, however many there are.

set local search_path = millrace;

create index jobs_object on jobs (project_id, component_id, object_id, id)
  where component_id is not null and object_id is not null;
