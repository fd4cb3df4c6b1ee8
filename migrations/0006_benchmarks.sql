-- Benchmarks: what was scored, item by item, so that every figure can be computed again from rows.

create table scorings (
    id              bigint generated always as identity primary key,
    ticket          text not null unique,
    run_id          bigint references runs on delete set null,
    stage_id        bigint references stages,
    training_run_id bigint references training_runs on delete set null,
    model           text not null,
    model_mark      text not null,
    data            text not null,
    data_mark       text not null,
    format          text not null,
    metric          text not null,
    settings        jsonb not null default '{}',
    items           bigint not null,
    left_out        bigint not null default 0,
    scored          bigint not null,
    unscored        bigint not null default 0,
    seconds         double precision not null,
    created_at      timestamptz not null default now()
);
comment on table scorings is 'One row for each time that a model scored a set of items; its items are evaluation_items, its figures evaluations.';
comment on column scorings.id is 'Identifier.';
comment on column scorings.ticket is 'Drawn by the process that made the row, so that a write that is sent twice counts once.';
comment on column scorings.run_id is 'The run of the pipeline; null for codepmp eval.';
comment on column scorings.stage_id is 'The evaluate stage; null for codepmp eval.';
comment on column scorings.training_run_id is 'The training that made the model, where that is known.';
comment on column scorings.model is 'Folder of the model, absolute.';
comment on column scorings.model_mark is 'Tells one model from another: hash over its weights, tokenizer and configuration.';
comment on column scorings.data is 'Where the items came from.';
comment on column scorings.data_mark is 'Tells one set of items from another: hash over what was read.';
comment on column scorings.format is 'Format of the data, e.g. gsm8k.';
comment on column scorings.metric is 'accuracy, best_of_n, choice or reward_bench_2.';
comment on column scorings.settings is 'Settings that decide rewards and figures: template, max_length, seed.';
comment on column scorings.items is 'Items that were measured.';
comment on column scorings.left_out is 'Rows of the data that made no item.';
comment on column scorings.scored is 'Texts with a reward.';
comment on column scorings.unscored is 'Texts without a reward: too long, or empty.';
comment on column scorings.seconds is 'Wall time of scoring, reading the model included.';
comment on column scorings.created_at is 'When it was written.';
create index scorings_model on scorings (model_mark, data_mark, metric);
create index scorings_stage on scorings (stage_id);

create table evaluation_items (
    scoring_id bigint not null references scorings on delete cascade,
    ordinal    integer not null,
    key        text not null,
    subset     text not null default '',
    rewards    real[] not null,
    correct    boolean[] not null,
    answers    text[],
    gold       text,
    primary key (scoring_id, ordinal)
);
comment on table evaluation_items is 'One row for each item of a scoring: what its figures are computed from.';
comment on column evaluation_items.scoring_id is 'The scoring.';
comment on column evaluation_items.ordinal is 'Order in the data, from 0.';
comment on column evaluation_items.key is 'The item''s own identifier in its data.';
comment on column evaluation_items.subset is 'Part of the benchmark, e.g. the subject; empty where there is none.';
comment on column evaluation_items.rewards is 'Rewards of its texts: chosen and rejected, the options, right then wrong answers, or the samples; null where one could not be scored.';
comment on column evaluation_items.correct is 'Whether each of these texts is right.';
comment on column evaluation_items.answers is 'Samples'' final answers in normal form, null where none could be read; the column is null for programs and where there are no samples.';
comment on column evaluation_items.gold is 'The right answer in normal form, of questions with samples.';

alter table evaluations add column scoring_id bigint references scorings on delete set null;
comment on column evaluations.scoring_id is 'The scoring that the figure is computed from; null for measurements in the course of a training.';
create index evaluations_scoring on evaluations (scoring_id);
