-- Scripts have a lane of their own: people wait for their answers while syncs take their hours.

set local search_path = millrace;

alter table jobs drop constraint jobs_lane_known,
  add constraint jobs_lane_known check (lane in ('storage', 'component', 'script'));
update jobs set lane = 'script' where kind = 'script';

-- What runs programs, of whatever lane, is listed by project, newest first.
create index jobs_runs on jobs (project_id, id) where lane <> 'storage';
