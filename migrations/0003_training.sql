-- What training and measuring leave behind. Rows of a pipeline name their run and stage; rows of the command line do not.

create table training_runs (
    id                   bigint generated always as identity primary key,
    ticket               text not null unique,
    run_id               bigint references runs on delete set null,
    stage_id             bigint references stages,
    base_training_run_id bigint references training_runs on delete set null,
    name                 text not null,
    objective            text not null check (objective in ('pmp', 'rm')),
    seed                 bigint not null,
    model                text not null,
    data                 text not null,
    data_mark            text not null,
    out                  text not null,
    settings             jsonb not null default '{}',
    pairs_train          bigint not null default 0,
    pairs_held_out       bigint not null default 0,
    parameters           bigint,
    total_steps          bigint,
    device               text not null,
    version              text not null,
    host                 text not null,
    pid                  integer not null,
    state                text not null default 'running' check (state in ('running', 'done', 'failed', 'interrupted')),
    message              text,
    started_at           timestamptz not null default now(),
    finished_at          timestamptz
);
comment on table training_runs is 'One row for each model that was trained, or is being trained; a resumed training keeps its row.';
comment on column training_runs.id is 'Identifier.';
comment on column training_runs.ticket is 'Drawn by the process that made the row, so that a write that is sent twice counts once.';
comment on column training_runs.run_id is 'The run of the pipeline; null for codepmp train.';
comment on column training_runs.stage_id is 'The train stage; null for codepmp train.';
comment on column training_runs.base_training_run_id is 'The training that made the model this one started from, where that is known.';
comment on column training_runs.name is 'Name of the stage, or of the folder.';
comment on column training_runs.objective is 'pmp (preference pretraining) or rm (reward-model finetuning).';
comment on column training_runs.seed is 'Decides a fresh model''s weights, the reward head''s and the order of the pairs.';
comment on column training_runs.model is 'Folder of the model it started from, or the preset of a fresh one.';
comment on column training_runs.data is 'Where the pairs came from.';
comment on column training_runs.data_mark is 'Tells one set of pairs from another: hash over what was read.';
comment on column training_runs.out is 'Folder of the trained model, absolute.';
comment on column training_runs.settings is 'All training settings.';
comment on column training_runs.pairs_train is 'Pairs that are trained on, once an epoch.';
comment on column training_runs.pairs_held_out is 'Pairs that are measured on while it trains.';
comment on column training_runs.parameters is 'Parameters of the model, the reward head included.';
comment on column training_runs.total_steps is 'Optimizer steps of the whole training.';
comment on column training_runs.device is 'Device, e.g. cpu or cuda:0.';
comment on column training_runs.version is 'Version of codepmp.';
comment on column training_runs.host is 'Host name of the process that started or resumed it last.';
comment on column training_runs.pid is 'Process id of that process.';
comment on column training_runs.state is 'running, done, failed or interrupted; a killed training stays running here until it is resumed.';
comment on column training_runs.message is 'Why it failed.';
comment on column training_runs.started_at is 'First start.';
comment on column training_runs.finished_at is 'End.';
create index training_runs_stage on training_runs (stage_id, seed);
create index training_runs_out on training_runs (out);

create table training_metrics (
    training_run_id   bigint not null references training_runs on delete cascade,
    step              bigint not null,
    epoch             double precision not null,
    loss              double precision not null,
    rm_loss           double precision not null,
    lm_loss           double precision not null,
    centre_loss       double precision not null,
    accuracy          double precision not null,
    margin            double precision not null,
    reward_mean       double precision not null,
    reward_std        double precision not null,
    gradient_norm     double precision not null,
    learning_rate     double precision not null,
    tokens            bigint not null,
    tokens_per_second double precision not null,
    pairs_per_second  double precision not null,
    memory_bytes      bigint not null,
    created_at        timestamptz not null default now(),
    primary key (training_run_id, step)
);
comment on table training_metrics is 'One row for each optimizer step; a step that is repeated after a kill replaces its row.';
comment on column training_metrics.training_run_id is 'The training.';
comment on column training_metrics.step is 'Optimizer step, from 1.';
comment on column training_metrics.epoch is 'Epochs done at the end of the step, with fraction.';
comment on column training_metrics.loss is 'The loss that was minimised.';
comment on column training_metrics.rm_loss is 'Mean of -log sigmoid(chosen - rejected - margin) over the step''s pairs, before its coefficient.';
comment on column training_metrics.lm_loss is 'Mean cross-entropy of the chosen answers'' tokens in nats, before its coefficient.';
comment on column training_metrics.centre_loss is 'Mean of (chosen + rejected) squared, before its coefficient.';
comment on column training_metrics.accuracy is 'Share of the step''s pairs whose chosen answer has the higher reward.';
comment on column training_metrics.margin is 'Mean reward of chosen minus rejected.';
comment on column training_metrics.reward_mean is 'Mean reward over both sides.';
comment on column training_metrics.reward_std is 'Standard deviation of the reward over both sides.';
comment on column training_metrics.gradient_norm is 'Global norm of the gradients before clipping.';
comment on column training_metrics.learning_rate is 'Learning rate of the step.';
comment on column training_metrics.tokens is 'Tokens of the step, padding left out.';
comment on column training_metrics.tokens_per_second is 'Tokens of the step over its wall time.';
comment on column training_metrics.pairs_per_second is 'Pairs of the step over its wall time.';
comment on column training_metrics.memory_bytes is 'Peak resident memory of the process so far.';
comment on column training_metrics.created_at is 'When the row was written.';

create table evaluations (
    id              bigint generated always as identity primary key,
    ticket          text not null unique,
    run_id          bigint references runs on delete set null,
    stage_id        bigint references stages,
    training_run_id bigint references training_runs on delete set null,
    step            bigint,
    model           text not null,
    data            text not null,
    data_mark       text not null,
    metric          text not null,
    value           double precision not null,
    low             double precision not null,
    high            double precision not null,
    confidence      double precision not null,
    n               bigint not null,
    details         jsonb not null default '{}',
    created_at      timestamptz not null default now()
);
comment on table evaluations is 'What models were measured at: one row for each model, data and metric.';
comment on column evaluations.id is 'Identifier.';
comment on column evaluations.ticket is 'Drawn by the process that made the row, so that a write that is sent twice counts once.';
comment on column evaluations.run_id is 'The run of the pipeline; null for codepmp eval.';
comment on column evaluations.stage_id is 'The evaluate stage; null for codepmp eval and for measurements in the course of a training.';
comment on column evaluations.training_run_id is 'The training that made the model, where that is known.';
comment on column evaluations.step is 'Optimizer step, of a measurement in the course of a training.';
comment on column evaluations.model is 'Folder of the model.';
comment on column evaluations.data is 'Where the pairs came from.';
comment on column evaluations.data_mark is 'Tells one set of pairs from another: hash over what was read.';
comment on column evaluations.metric is 'What was measured, e.g. accuracy.';
comment on column evaluations.value is 'Its value.';
comment on column evaluations.low is 'Lower end of the confidence interval.';
comment on column evaluations.high is 'Upper end of the confidence interval.';
comment on column evaluations.confidence is 'Probability that the interval is made for, e.g. 0.95.';
comment on column evaluations.n is 'Pairs that were measured.';
comment on column evaluations.details is 'Further figures, e.g. the method of the interval, mean margin.';
comment on column evaluations.created_at is 'When it was measured.';
create index evaluations_stage on evaluations (stage_id, training_run_id);
create index evaluations_training_run on evaluations (training_run_id);

create view training_progress as
select t.id, t.run_id, t.stage_id, t.name, t.objective, t.seed, t.state, t.total_steps, m.step, m.epoch, m.loss,
       m.accuracy, m.learning_rate, m.tokens_per_second, m.memory_bytes, e.value as last_accuracy, e.low, e.high, e.n,
       t.out, t.started_at, t.finished_at
from training_runs t
left join lateral (select * from training_metrics where training_run_id = t.id order by step desc limit 1) m on true
left join lateral (select * from evaluations where training_run_id = t.id and metric = 'accuracy'
                   order by id desc limit 1) e on true;
comment on view training_progress is 'Each training with its last step and the last accuracy that its model was measured at.';
