-- What judge models say of pairs: an answer is preferred that was shown first or second, in an order that says nothing of
-- which is chosen.

create function chosen_shown_first(prompt text, chosen text, rejected text) returns boolean
    language sql immutable strict parallel safe
    return get_byte(decode(md5(prompt || chosen || rejected), 'hex'), 0) < 128;
comment on function chosen_shown_first(text, text, text) is 'Whether a judge model is shown the chosen side of a pair first: decided by the pair''s own texts, true of about half of all pairs.';

create table judgements (
    id           bigint generated always as identity primary key,
    stage_id     bigint not null,
    pair_id      bigint not null references pairs,
    chosen_first boolean not null,
    verdict      text not null check (verdict in ('first', 'second', 'tie')),
    agrees       boolean generated always as (case when verdict <> 'tie' then (verdict = 'first') = chosen_first end) stored,
    call_id      bigint,
    created_at   timestamptz not null default now(),
    unique (stage_id, pair_id)
);
comment on table judgements is 'Verdicts of judge models on pairs. What could not be read as a verdict is a row of rejections.';
comment on column judgements.id is 'Identifier.';
comment on column judgements.stage_id is 'The judge stage: model, prompt and sampling.';
comment on column judgements.pair_id is 'The pair.';
comment on column judgements.chosen_first is 'Whether the chosen side was shown first, see chosen_shown_first().';
comment on column judgements.verdict is 'Which answer the model prefers: first, second or tie, in the order of showing.';
comment on column judgements.agrees is 'Whether it prefers the chosen side; null for a tie.';
comment on column judgements.call_id is 'The call that it was paid with.';
comment on column judgements.created_at is 'When it was committed.';
create index judgements_pair on judgements (pair_id);

alter table rejections add column pair_id bigint references pairs;
comment on column rejections.pair_id is 'The pair (judge).';
comment on column tasks.input_id is 'Snippet (describe), description or question (generate), or pair (judge).';
comment on column llm_calls.input_id is 'Snippet (describe), description or question (generate), or pair (judge) it was made for.';
comment on column batch_requests.input_id is 'Snippet (describe), description or question (generate), or pair (judge).';

create view judge_agreement as
select j.stage_id, st.name as stage, st.model, p.stage_id as pair_stage_id, count(*) as verdicts,
       count(*) filter (where j.verdict = 'tie') as ties, count(*) filter (where j.agrees) as agreed,
       avg(j.agrees::int)::float8 as agreement,
       avg((j.verdict = 'first')::int) filter (where j.verdict <> 'tie')::float8 as first_share,
       avg(j.agrees::int) filter (where j.chosen_first)::float8 as agreement_chosen_first,
       avg(j.agrees::int) filter (where not j.chosen_first)::float8 as agreement_chosen_second
from judgements j
join stages st on st.id = j.stage_id
join pairs p on p.id = j.pair_id
group by j.stage_id, st.name, st.model, p.stage_id;
comment on view judge_agreement is 'How often each judge model prefers the chosen side, of its verdicts that are no ties, and how often the answer shown first: 0.5 without a bias by position.';

create or replace view run_progress as
select u.id as run_id, u.pipeline, u.state as run_state, rs.name, rs.kind, rs.state, rs.done, rs.rejected,
       rs.seconds, rs.message, rs.stage_id, st.fingerprint,
       case when rs.kind in ('describe', 'generate', 'judge')
            then (select count(*) from tasks t where t.stage_id = rs.stage_id and t.state in ('ready', 'leased'))
       end as waiting,
       exists (select from workers w where w.run_id = u.id and w.ended_at is null) as worker_open
from runs u
join run_stages rs on rs.run_id = u.id
join stages st on st.id = rs.stage_id;
