-- What the seeds of a curve come to together, by bootstrap over seeds and items, and how two arms differ; Student's interval of
-- the mean, which knew nothing of items, goes.

alter table curve_points add column scoring_id bigint references scorings on delete set null;
comment on column curve_points.scoring_id is 'The scoring whose items the value is computed from; null for points of earlier versions.';

create table curve_estimates (
    id         bigint generated always as identity primary key,
    stage_id   bigint not null references stages,
    run_id     bigint references runs on delete set null,
    arm        text not null,
    baseline   text,
    share      double precision,
    step       bigint,
    metric     text not null,
    value      double precision not null,
    low        double precision not null,
    high       double precision not null,
    n          bigint not null,
    points     bigint[] not null,
    created_at timestamptz not null default now(),
    constraint curve_estimates_once unique nulls not distinct (stage_id, arm, baseline, share, step, metric, points)
);
comment on table curve_estimates is 'One row for what the seeds at a place of a curve come to together, or for how two arms differ there, with an interval over seeds and items (pigeonhole bootstrap, expanded for few seeds).';
comment on column curve_estimates.id is 'Identifier.';
comment on column curve_estimates.stage_id is 'The stage that draws the curve.';
comment on column curve_estimates.run_id is 'The run of the pipeline that computed it.';
comment on column curve_estimates.arm is 'What the points'' trainings started from, by its name in the pipeline file.';
comment on column curve_estimates.baseline is 'The arm that it is compared with; null for a mean over seeds.';
comment on column curve_estimates.share is 'As in curve_points.';
comment on column curve_estimates.step is 'As in curve_points.';
comment on column curve_estimates.metric is 'As in curve_points.';
comment on column curve_estimates.value is 'Mean over seeds and items; of a comparison the arm''s mean less the baseline''s.';
comment on column curve_estimates.low is 'Lower end of its 95 % interval.';
comment on column curve_estimates.high is 'Upper end of that interval.';
comment on column curve_estimates.n is 'Items, those that all seeds have a value of.';
comment on column curve_estimates.points is 'The rows of curve_points that it is of, in ascending order; of a comparison those of the arm, then those of the baseline.';
comment on column curve_estimates.created_at is 'When it was written.';

drop view scaling_curve;
drop view sample_efficiency;
drop view curve_means;
drop view latest_curve_points;

create view latest_curve_points as
select distinct on (p.stage_id, p.arm, p.share, p.step, p.seed, p.metric) s.name as stage, p.*
from curve_points p join stages s on s.id = p.stage_id
order by p.stage_id, p.arm, p.share, p.step, p.seed, p.metric, p.id desc;
comment on view latest_curve_points is 'The newest row of each place on a curve (stage, arm, share or step, seed, metric), with the stage''s name.';

create view curve_means as
select m.*, case when seeds = 1 then only_low else e.low end as low, case when seeds = 1 then only_high else e.high end as high
from (
    select stage_id, stage, curve, arm, share, step, metric, count(*) as seeds, avg(pairs)::float8 as pairs,
           avg(tokens)::float8 as tokens, avg(value) as mean, stddev_samp(value) as deviation, min(low) as only_low,
           max(high) as only_high, min(value) as least, max(value) as most, min(n) as n, sum(seconds) as seconds,
           array_agg(id order by id) as points
    from latest_curve_points
    group by stage_id, stage, curve, arm, share, step, metric
) m
left join curve_estimates e
    on e.stage_id = m.stage_id and e.arm = m.arm and e.baseline is null and e.metric = m.metric and e.points = m.points;
comment on view curve_means is 'Each place on a curve with mean and standard deviation over its seeds, the smallest and the largest value, and the 95 % interval of the mean over seeds and items: null until the stage has computed it of these points. Of a single seed its own interval over the items.';

create view curve_differences as
select m.stage_id, m.stage, m.curve, m.arm, b.arm as baseline, m.share, m.step, m.pairs, m.tokens, m.metric, m.seeds, e.value as difference,
       e.low, e.high, m.mean as arm_mean, b.mean as baseline_mean, e.n
from curve_means m
join curve_means b on b.stage_id = m.stage_id and b.metric = m.metric and b.share is not distinct from m.share
    and b.step is not distinct from m.step
join curve_estimates e on e.stage_id = m.stage_id and e.arm = m.arm and e.baseline = b.arm and e.metric = m.metric
    and e.points = m.points || b.points;
comment on view curve_differences is 'How two arms of a curve differ at each place, with the 95 % interval of the difference over seeds and items.';

create view sample_efficiency as
select stage_id, stage, arm, share, pairs, metric, seeds, mean, deviation, low, high, n, seconds
from curve_means where curve = 'sample_efficiency';
comment on view sample_efficiency is 'How well a reward model finetuned on a share of a set is, for each arm (what it started from), as mean over seeds with its 95 % interval.';

create view scaling_curve as
select stage_id, stage, arm, step, pairs, tokens, metric, seeds, mean, deviation, low, high, n, seconds
from curve_means where curve = 'scaling';
comment on view scaling_curve is 'How well a pretraining is by pairs seen: a decay run from each stable checkpoint, as mean over seeds with its 95 % interval.';
