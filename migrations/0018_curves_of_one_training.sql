-- A scaling curve is of one training: when it has been trained anew with fewer or more steps, those of before are no longer its
-- points. What a training started from belongs to its mark.

create or replace view latest_curve_points as
select distinct on (p.stage_id, p.arm, p.share, p.step, p.seed, p.metric) s.name as stage, p.*
from curve_points p join stages s on s.id = p.stage_id
where p.curve <> 'scaling'
   or (p.data_mark, p.test_mark) = (
       select n.data_mark, n.test_mark from curve_points n
       where n.stage_id = p.stage_id and n.arm = p.arm and n.seed = p.seed order by n.id desc limit 1)
order by p.stage_id, p.arm, p.share, p.step, p.seed, p.metric, p.id desc;
comment on view latest_curve_points is 'The newest row of each place on a curve (stage, arm, share or step, seed, metric), with the stage''s name; of scaling those of the newest training.';

comment on column training_runs.data_mark is 'Tells one set of pairs from another: hash over what was read; after a blank, the mark of the training that made the model or tokenizer it started from.';
comment on column curve_points.data_mark is 'Tells the pairs that were trained on from others; after a blank, the mark of the training that the point started from.';
