-- Limits that all processes on the database keep together, and the speed of streamed answers.

create table accounts (
    name         text primary key,
    requests_due double precision not null default 0,
    tokens_due   double precision not null default 0,
    input_due    double precision not null default 0,
    output_due   double precision not null default 0
);
comment on table accounts is 'Accounts of endpoints with limits. Whoever grants out of an account locks its row.';
comment on column accounts.name is 'Name in the pipeline file, else host, key variable and model.';
comment on column accounts.requests_due is 'When the requests granted so far are due at an even pace, in seconds since 1970 by this server''s clock.';
comment on column accounts.tokens_due is 'The same for tokens of prompts and answers together.';
comment on column accounts.input_due is 'The same for tokens of prompts.';
comment on column accounts.output_due is 'The same for tokens of answers.';

create table account_slots (
    account       text not null references accounts on delete cascade,
    slot          bigint not null,
    requests      bigint not null,
    input_tokens  bigint not null,
    output_tokens bigint not null,
    primary key (account, slot)
);
comment on table account_slots is 'What each tenth of a second granted, less what was given back; kept for ten minutes.';
comment on column account_slots.account is 'The account.';
comment on column account_slots.slot is 'Tenths of a second since 1970 by this server''s clock; to_timestamp(slot / 10.0) is its start.';
comment on column account_slots.requests is 'Requests that may have been sent under its grants, at most a quarter of a second after the slot.';
comment on column account_slots.input_tokens is 'Tokens of their prompts: by estimate, then by the model server''s count.';
comment on column account_slots.output_tokens is 'Tokens of their answers, likewise.';

create table account_leases (
    account   text not null references accounts on delete cascade,
    worker_id bigint not null references workers on delete cascade,
    calls     integer not null,
    wanted    integer not null,
    primary key (account, worker_id)
);
comment on table account_leases is 'Calls in flight that each worker may have under an account. It ends with the worker''s advisory lock.';
comment on column account_leases.account is 'The account.';
comment on column account_leases.worker_id is 'The worker.';
comment on column account_leases.calls is 'Calls that it may have in flight.';
comment on column account_leases.wanted is 'Calls that it would have in flight if it could.';

alter table llm_calls add column first_token_ms double precision;
comment on column llm_calls.first_token_ms is 'Milliseconds from sending to the first piece of the answer, where it was streamed. Tokens a second after it: completion_tokens / (latency_ms - first_token_ms) * 1000.';

create view streaming_speed as
select c.run_id, st.name as stage, c.stage_id, c.endpoint, c.model, count(*) as answers,
       percentile_cont(0.5) within group (order by c.first_token_ms) as median_first_token_ms,
       percentile_cont(0.95) within group (order by c.first_token_ms) as p95_first_token_ms,
       sum(c.completion_tokens)
           / nullif(sum(c.latency_ms - c.first_token_ms) filter (where c.completion_tokens is not null), 0)
           * 1000 as tokens_per_second
from llm_calls c
join stages st on st.id = c.stage_id
where c.first_token_ms is not null and c.class in ('ok', 'truncated')
group by c.run_id, st.name, c.stage_id, c.endpoint, c.model;
comment on view streaming_speed is 'Streamed answers by run, stage and model: time to the first token, and tokens a second of one answer after it.';
