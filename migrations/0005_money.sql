-- What was spent and what is reserved, what endpoints were asked before a run, and batches.

create table spending (
    id                bigint generated always as identity primary key,
    stage_id          bigint not null references stages,
    calls             bigint not null,
    prompt_tokens     bigint not null,
    completion_tokens bigint not null,
    cost_microdollars bigint not null
);
comment on table spending is 'What calls used, added up: a row for each commit, merged now and then. Sum it, or read spent_by_stage.';
comment on column spending.id is 'Identifier.';
comment on column spending.stage_id is 'The stage that the calls were made for.';
comment on column spending.calls is 'Calls that used tokens.';
comment on column spending.prompt_tokens is 'Tokens of their prompts, by the server''s count.';
comment on column spending.completion_tokens is 'Tokens of their answers, by the server''s count.';
comment on column spending.cost_microdollars is 'Their cost in millionths of a dollar.';
create index spending_stage on spending (stage_id);

-- By a trigger, so that whatever writes calls is counted, in its own transaction and exactly once.
create function note_spending() returns trigger language plpgsql as $$
begin
    insert into spending (stage_id, calls, prompt_tokens, completion_tokens, cost_microdollars)
    select stage_id, count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),
           coalesce(sum(cost_microdollars), 0)
    from added
    where prompt_tokens > 0 or completion_tokens > 0 or cost_microdollars > 0
    group by stage_id;
    return null;
end
$$;
create trigger llm_calls_spending after insert on llm_calls
    referencing new table as added for each statement execute function note_spending();
insert into spending (stage_id, calls, prompt_tokens, completion_tokens, cost_microdollars)
select stage_id, count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0),
       coalesce(sum(cost_microdollars), 0)
from llm_calls
where prompt_tokens > 0 or completion_tokens > 0 or cost_microdollars > 0
group by stage_id;

create view spent_by_stage as
select s.stage_id, st.name as stage, st.kind, st.model, sum(s.calls)::bigint as calls,
       sum(s.prompt_tokens)::bigint as prompt_tokens, sum(s.completion_tokens)::bigint as completion_tokens,
       sum(s.cost_microdollars)::bigint as cost_microdollars
from spending s
join stages st on st.id = s.stage_id
group by s.stage_id, st.name, st.kind, st.model;
comment on view spent_by_stage is 'Calls, tokens and cost of each stage that asks a model, over all runs.';

create table reservations (
    worker_id         bigint not null references workers on delete cascade,
    stage_id          bigint not null references stages,
    tokens            bigint not null,
    cost_microdollars bigint not null,
    primary key (worker_id, stage_id)
);
comment on table reservations is 'What calls in flight may cost at most, of runs with a cap. Those of dead workers do not count.';
comment on column reservations.worker_id is 'The process.';
comment on column reservations.stage_id is 'The stage.';
comment on column reservations.tokens is 'Tokens of prompts and answers.';
comment on column reservations.cost_microdollars is 'Millionths of a dollar.';

comment on column runs.options is 'Command line options: select, limit, max_cost in dollars, max_tokens.';

create table preflights (
    id                bigint generated always as identity primary key,
    endpoint          text not null,
    base_url          text not null,
    model             text not null,
    class             text not null,
    message           text,
    usage_reported    boolean not null,
    prompt_tokens     integer,
    completion_tokens integer,
    cost_microdollars bigint,
    latency_ms        double precision not null,
    asked_at          timestamptz not null default now()
);
comment on table preflights is 'Answers of one token that were asked for before a run, to see that an endpoint works.';
comment on column preflights.id is 'Identifier.';
comment on column preflights.endpoint is 'Name of the endpoint in the pipeline file.';
comment on column preflights.base_url is 'Where it was asked.';
comment on column preflights.model is 'Model asked.';
comment on column preflights.class is 'ok, or the class of failure.';
comment on column preflights.message is 'What went wrong.';
comment on column preflights.usage_reported is 'Whether the server told the tokens used.';
comment on column preflights.prompt_tokens is 'Tokens of the prompt, by the server''s count.';
comment on column preflights.completion_tokens is 'Tokens of the answer, by the server''s count.';
comment on column preflights.cost_microdollars is 'Cost in millionths of a dollar, where the endpoint has prices.';
comment on column preflights.latency_ms is 'Milliseconds from sending to the last byte.';
comment on column preflights.asked_at is 'When it was asked.';
create index preflights_endpoint on preflights (base_url, model, asked_at);

create table batches (
    id                    bigint generated always as identity primary key,
    run_id                bigint not null references runs,
    stage_id              bigint not null references stages,
    endpoint              text not null,
    file                  text not null,
    state                 text not null default 'exporting' check (state in
                          ('exporting', 'exported', 'uploaded', 'submitting', 'submitted', 'ended', 'imported', 'released')),
    requests              integer not null default 0,
    bytes                 bigint not null default 0,
    reserved_tokens       bigint not null default 0,
    reserved_microdollars bigint not null default 0,
    file_id               text,
    remote_id             text,
    remote_state          text,
    output_file_id        text,
    error_file_id         text,
    message               text,
    created_at            timestamptz not null default now(),
    submitted_at          timestamptz,
    imported_at           timestamptz
);
comment on table batches is 'Request files: for a provider''s Batch API, or for vllm run-batch.';
comment on column batches.id is 'Identifier.';
comment on column batches.run_id is 'The run of codepmp batch export; calls of the batch are of that run.';
comment on column batches.stage_id is 'The stage whose rows are in it.';
comment on column batches.endpoint is 'Name of the endpoint in the pipeline file.';
comment on column batches.file is 'The request file.';
comment on column batches.state is 'exporting; exported: the file is there; uploaded; submitting: the server may have made the batch; submitted; ended: the server is done; imported: every request is accounted for; released: given up.';
comment on column batches.requests is 'Requests in it.';
comment on column batches.bytes is 'Size of the file.';
comment on column batches.reserved_tokens is 'Tokens that the requests still out may use at most.';
comment on column batches.reserved_microdollars is 'What they may cost at most, in millionths of a dollar.';
comment on column batches.file_id is 'The server''s name of the uploaded file.';
comment on column batches.remote_id is 'The server''s name of the batch.';
comment on column batches.remote_state is 'The server''s word for its state, when it was last asked.';
comment on column batches.output_file_id is 'The server''s name of the file with answers.';
comment on column batches.error_file_id is 'The server''s name of the file with failures.';
comment on column batches.message is 'What went wrong with the batch as a whole.';
comment on column batches.created_at is 'When it was exported.';
comment on column batches.submitted_at is 'When it was submitted; of a batch that the user submits, null.';
comment on column batches.imported_at is 'When its last request was accounted for.';
create index batches_open on batches (stage_id) where state not in ('imported', 'released');

create table batch_requests (
    batch_id              bigint not null references batches on delete cascade,
    ordinal               integer not null,
    input_id              bigint not null,
    snippet_id            bigint not null,
    sample                integer not null,
    request_key           bytea not null,
    reserved_tokens       bigint not null,
    reserved_microdollars bigint not null,
    state                 text not null default 'out' check (state in ('out', 'answered', 'rejected', 'returned')),
    class                 text,
    primary key (batch_id, ordinal)
);
comment on table batch_requests is 'Requests of batches, and what became of each.';
comment on column batch_requests.batch_id is 'The batch.';
comment on column batch_requests.ordinal is 'Line of the request file, from 1.';
comment on column batch_requests.input_id is 'Snippet (describe) or description (generate).';
comment on column batch_requests.snippet_id is 'Its snippet.';
comment on column batch_requests.sample is 'Sample number.';
comment on column batch_requests.request_key is 'Hash of the request, as in llm_calls; part of the line''s custom_id.';
comment on column batch_requests.reserved_tokens is 'Tokens that it may use at most.';
comment on column batch_requests.reserved_microdollars is 'What it may cost at most, in millionths of a dollar.';
comment on column batch_requests.state is 'out; answered; rejected: its row is; returned: its row is to be done again, online or in another batch.';
comment on column batch_requests.class is 'ok, the class of failure, missing (no line came back), or released.';
create index batch_requests_out on batch_requests (request_key) where state = 'out';

-- Rows that are out in a batch are nobody's to ask.
alter table tasks drop constraint tasks_state_check;
alter table tasks add constraint tasks_state_check
    check (state in ('ready', 'leased', 'done', 'rejected', 'batched')) not valid;
comment on column tasks.state is 'ready, leased (a worker is at it), batched (it is out in a batch), done or rejected.';
create index tasks_batched on tasks (stage_id) where state = 'batched';

alter table llm_calls add column batch_id bigint references batches;
alter table llm_calls add column superseded_at timestamptz;
comment on column llm_calls.batch_id is 'The batch that it was part of; its latency is then from submission to import.';
comment on column llm_calls.superseded_at is 'When codepmp retry asked for another answer; the ledger passes this one over from then on.';
comment on column llm_calls.answer is 'The raw answer: of a call of class ok, and of the last call of a row that was cut, filtered or refused.';
