-- Questions of benchmarks, and what models answered to them: samples for best-of-N.

create table questions (
    id       bigint generated always as identity primary key,
    stage_id bigint not null references stages,
    ordinal  integer not null,
    key      text not null,
    subset   text not null,
    prompt   text not null,
    answer   text,
    compare  text check (compare in ('number', 'math', 'text')),
    test     jsonb,
    format   text not null,
    file     text not null,
    line     bigint not null,
    xid      xid8 not null default pg_current_xact_id(),
    unique (stage_id, ordinal),
    check (num_nonnulls(answer, test) = 1 and (answer is null) = (compare is null))
);
comment on table questions is 'Questions of benchmarks, as they are put to models that answer them.';
comment on column questions.id is 'Identifier.';
comment on column questions.stage_id is 'The questions stage.';
comment on column questions.ordinal is 'Order within the stage, from 0.';
comment on column questions.key is 'The question''s own identifier, else its number in the file, from 0.';
comment on column questions.subset is 'Part of the benchmark that it belongs to: subject, task; empty if there are none.';
comment on column questions.prompt is 'What is asked.';
comment on column questions.answer is 'The right answer; null for programs.';
comment on column questions.compare is 'How answers are compared with it: number, math or text; null for programs.';
comment on column questions.test is 'Programs: the benchmark''s tests, which the answer must pass.';
comment on column questions.format is 'Format of the file, e.g. gsm8k.';
comment on column questions.file is 'The file that it was read from.';
comment on column questions.line is 'The line that it begins on; in Parquet files, the number of the row. From 1.';
comment on column questions.xid is 'Transaction that wrote the row; see snippets.xid.';
create index questions_follow on questions (stage_id, xid);

-- Stage and call are not checked, as in 0010.
create table samples (
    id          bigint generated always as identity primary key,
    stage_id    bigint not null,
    question_id bigint not null references questions,
    sample      integer not null,
    text        text not null,
    call_id     bigint,
    created_at  timestamptz not null default now(),
    unique (stage_id, question_id, sample)
);
comment on table samples is 'What a model answered to a question, as often as it was asked.';
comment on column samples.id is 'Identifier.';
comment on column samples.stage_id is 'The generate stage: model, prompt and sampling.';
comment on column samples.question_id is 'The question.';
comment on column samples.sample is 'Sample number, from 0; evaluation_items.rewards are in this order.';
comment on column samples.text is 'The whole answer, trimmed.';
comment on column samples.call_id is 'The call that it was paid with.';
comment on column samples.created_at is 'When it was committed.';
create index samples_question on samples (question_id);

alter table rejections add column question_id bigint references questions;
comment on column rejections.question_id is 'The question (generate).';
comment on column tasks.input_id is 'Snippet (describe), description or question (generate).';
comment on column llm_calls.input_id is 'Snippet (describe), description or question (generate) it was made for.';
alter table batch_requests alter column snippet_id drop not null;
comment on column batch_requests.input_id is 'Snippet (describe), description or question (generate).';
comment on column batch_requests.snippet_id is 'Its snippet; null for questions.';

create view sample_lineage as
select a.id as sample_id, a.stage_id, st.name as stage, st.model, st.prompt_fingerprint, st.sampling, a.sample, a.text,
       q.id as question_id, q.key, q.subset, q.prompt, q.answer, q.compare, q.format, q.file, q.line,
       c.id as call_id, c.endpoint, c.prompt_tokens, c.completion_tokens, c.latency_ms
from samples a
join stages st on st.id = a.stage_id
join questions q on q.id = a.question_id
left join llm_calls c on c.id = a.call_id;
comment on view sample_lineage is 'Each sample with its model, its question, the file and line of that, and the call that it was paid with.';

create view question_samples as
select t.stage_id, st.name as stage, q.id as question_id, q.key, q.subset,
       count(*) as wanted, count(*) filter (where t.state = 'done') as answered,
       count(*) filter (where t.state = 'rejected') as failed,
       count(*) filter (where t.state not in ('done', 'rejected')) as open
from tasks t
join stages st on st.id = t.stage_id and st.kind = 'generate'
join questions q on q.id = t.input_id and q.stage_id = any (st.inputs)
group by t.stage_id, st.name, q.id;
comment on view question_samples is 'For each question and generate stage: samples that are wanted, answered, failed (they count as wrong answers), and still to be done.';
