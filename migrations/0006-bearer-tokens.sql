-- Short-lived tokens that an application gets for its id and secret. What is done with one is done in the name of the
-- application (its creator_token_id), so that jobs outlive the token that started them.

set local search_path = millrace;

alter table tokens drop constraint tokens_kind_known;
alter table tokens add constraint tokens_kind_known
  check (kind in ('storage', 'manage', 'application', 'bearer', 'account-key', 'api-key'));

-- Expired ones are removed whenever their application asks for a new one.
create index tokens_bearer_expiry on tokens (creator_token_id, expires_at) where kind = 'bearer';
