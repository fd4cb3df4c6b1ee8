-- Who is asking for what, so that equal requests at the same moment are paid once.

-- Unlogged: an entry means nothing once the server has gone down, as every worker's lock has gone with it, and entries need
-- not wait for the disk.
create unlogged table requests_under_way (
    request_key bytea primary key,
    worker_id   bigint not null,
    stage_id    bigint not null
);
comment on table requests_under_way is 'Requests that a worker is asking, or is about to. Whoever wants the same answer waits until the entry is gone, which is when the answer is in the ledger. Entries of dead workers do not count.';
comment on column requests_under_way.request_key is 'Hash of the request, as in llm_calls.';
comment on column requests_under_way.worker_id is 'The process that asks.';
comment on column requests_under_way.stage_id is 'The stage that it asks for.';
