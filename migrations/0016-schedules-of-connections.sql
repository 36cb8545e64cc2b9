-- Connections that were stored before there were schedules get theirs. The time it was "last due" is the one that it is
-- due at: so a scheduler only reckons the next time and starts nothing, or finds that the expression is none and says so.

set local search_path = millrace;

insert into schedules (project_id, branch_id, name, component_id, configuration_id, definition_component_id,
  definition_configuration_id, definition_version, cron, interval_seconds, timezone, is_enabled, token_id,
  token_description, next_run_at, last_due_at)
select project_id, branch_id, name, component_id, id, component_id, id, version, cron, seconds, timezone, is_enabled,
  token_id, token_description, case when is_enabled then now() end, case when is_enabled then now() end
from (
  select c.project_id, c.branch_id, v.name, c.component_id, c.id, c.version, s.type,
    case when s.type = 'cron' then s.expression end as cron,
    case when s.type = 'interval' and s.every ~ '^[1-9][0-9]{0,6}$' then s.every::bigint * case s.unit
      when 'minutes' then 60 when 'hours' then 3600 when 'days' then 86400 when 'weeks' then 604800
      when 'months' then 30 * 86400 end end as seconds,
    case when s.type = 'cron' then coalesce(s.timezone, 'UTC') else 'UTC' end as timezone,
    not v.is_disabled as is_enabled, v.creator_token_id as token_id,
    v.creator_token_description as token_description
  from configurations c
  join branches b on b.id = c.branch_id and b.is_default and b.deleted_at is null
  join configuration_versions v on v.configuration_key = c.key and v.version = c.version
  cross join lateral (
    select v.configuration -> 'parameters' -> 'schedule' as schedule
    -- What a text of the database cannot hold is in no schedule of ours.
    where v.configuration::text not like '%\\u0000%'
  ) p
  cross join lateral (
    select schedule ->> 'type' as type, schedule ->> 'expression' as expression, schedule ->> 'timezone' as timezone,
      schedule ->> 'every' as every, schedule ->> 'unit' as unit
  ) s
  where c.component_id = 'millrace.connection' and not c.is_deleted
    and json_typeof(v.configuration -> 'parameters' -> 'streams') = 'array'
) wanted
where (cron is not null or seconds between 60 and 10 * 366 * 86400)
  and not exists (
    select from schedules s where s.branch_id = wanted.branch_id and s.definition_component_id = wanted.component_id
      and s.definition_configuration_id = wanted.id);
