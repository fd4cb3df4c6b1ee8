-- Points of curves: sample efficiency (share of a set finetuned on) and scaling (pairs seen in one pretraining).

create table curve_points (
    id              bigint generated always as identity primary key,
    stage_id        bigint not null references stages,
    run_id          bigint references runs on delete set null,
    training_run_id bigint references training_runs on delete set null,
    curve           text not null check (curve in ('sample_efficiency', 'scaling')),
    arm             text not null,
    share           double precision,
    step            bigint,
    seed            bigint not null,
    pairs           bigint not null,
    tokens          bigint,
    data_mark       text not null,
    test_mark       text not null,
    metric          text not null,
    value           double precision not null,
    low             double precision not null,
    high            double precision not null,
    n               bigint not null,
    seconds         double precision not null,
    created_at      timestamptz not null default now(),
    check ((curve = 'sample_efficiency') = (share is not null)),
    check ((curve = 'scaling') = (step is not null)),
    constraint curve_points_once
        unique nulls not distinct (stage_id, arm, share, step, seed, data_mark, test_mark, metric)
);
comment on table curve_points is 'One row for each point of a curve and each metric that it was measured at; the rows of a point are committed together.';
comment on column curve_points.id is 'Identifier.';
comment on column curve_points.stage_id is 'The stage that draws the curve.';
comment on column curve_points.run_id is 'The run of the pipeline that made the point.';
comment on column curve_points.training_run_id is 'The training that made the point''s model, where that is known.';
comment on column curve_points.curve is 'sample_efficiency or scaling.';
comment on column curve_points.arm is 'What the point''s training started from, by its name in the pipeline file; of a scaling curve the pretraining.';
comment on column curve_points.share is 'Share of the set that the model was finetuned on, above 0 and up to 1; null for scaling.';
comment on column curve_points.step is 'Step of the stable checkpoint that the learning rate decayed from, or the last step of the whole pretraining; null for sample_efficiency.';
comment on column curve_points.seed is 'Seed of the training; of a sample_efficiency point it also draws the pairs.';
comment on column curve_points.pairs is 'Pairs of the set that were finetuned on; of a scaling curve pairs seen from the start, repeated ones counted again.';
comment on column curve_points.tokens is 'Tokens trained on, repeated ones counted again; of a scaling curve from the start; null where it is not known.';
comment on column curve_points.data_mark is 'Tells one set of training pairs from another: hash over what was read.';
comment on column curve_points.test_mark is 'Tells one set of held-out pairs from another: hash over what was read.';
comment on column curve_points.metric is 'accuracy (share of held-out pairs in the right order, ties half), rm_loss (their mean -log sigmoid(chosen - rejected)), or margin (mean of chosen minus rejected).';
comment on column curve_points.value is 'Its value.';
comment on column curve_points.low is 'Lower end of its 95 % interval over the items measured; the value itself where there is none.';
comment on column curve_points.high is 'Upper end of that interval.';
comment on column curve_points.n is 'Items that were measured.';
comment on column curve_points.seconds is 'Wall time of the point: training and measuring.';
comment on column curve_points.created_at is 'When the point was finished.';

-- The newest point of each place on a curve: pairs may have changed since, and older points stay.
create view latest_curve_points as
select distinct on (p.stage_id, p.arm, p.share, p.step, p.seed, p.metric) s.name as stage, p.*
from curve_points p join stages s on s.id = p.stage_id
order by p.stage_id, p.arm, p.share, p.step, p.seed, p.metric, p.id desc;
comment on view latest_curve_points is 'The newest row of each place on a curve (stage, arm, share or step, seed, metric), with the stage''s name.';

-- Student's t at 97.5 % for k seeds; beyond ten by the first terms of its expansion in 1 / (k - 1) (Cornish and Fisher
-- 1938), within 0.2 % of it.
create view curve_means as
select g.*,
       case when seeds = 1 then only_low else mean - t * deviation / sqrt(seeds) end as low,
       case when seeds = 1 then only_high else mean + t * deviation / sqrt(seeds) end as high
from (
    select m.*,
           coalesce((array[null, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]::float8[])[seeds::int],
                    1.959964 + 2.3723 / nullif(seeds - 1, 0) + 2.8225 / nullif(seeds - 1, 0) ^ 2) as t
    from (
        select stage_id, stage, curve, arm, share, step, metric, count(*) as seeds, avg(pairs)::float8 as pairs,
               avg(tokens)::float8 as tokens, avg(value) as mean, stddev_samp(value) as deviation, min(low) as only_low,
               max(high) as only_high, min(n) as n, sum(seconds) as seconds
        from latest_curve_points
        group by stage_id, stage, curve, arm, share, step, metric
    ) m
) g;
comment on view curve_means is 'Each place on a curve with mean, standard deviation and 95 % interval of the mean over seeds (Student''s t); of a single seed its own interval over the items.';

create view sample_efficiency as
select stage_id, stage, arm, share, pairs, metric, seeds, mean, deviation, low, high, n, seconds
from curve_means where curve = 'sample_efficiency';
comment on view sample_efficiency is 'How well a reward model finetuned on a share of a set is, for each arm (what it started from), as mean over seeds with its 95 % interval.';

create view scaling_curve as
select stage_id, stage, arm, step, pairs, tokens, metric, seeds, mean, deviation, low, high, n, seconds
from curve_means where curve = 'scaling';
comment on view scaling_curve is 'How well a pretraining is by pairs seen: a decay run from each stable checkpoint, as mean over seeds with its 95 % interval.';
