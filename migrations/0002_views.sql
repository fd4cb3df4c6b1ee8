-- The views that people look at first.

create view preference_pairs as
select p.id, p.stage_id, p.prompt, c.text as chosen, r.text as rejected, p.split,
       cs.model as chosen_model, rs.model as rejected_model, ds.model as description_model,
       p.chosen_valid, p.rejected_valid, p.length_ratio, p.similarity,
       d.repository, d.revision, d.path, d.licence,
       s.unit, s.qualified_name, s.start_line, s.end_line,
       p.sample, p.description_id, p.chosen_id, p.rejected_id, e.snippet_id, s.document_id
from pairs p
join completions c on c.id = p.chosen_id
join completions r on r.id = p.rejected_id
join stages cs on cs.id = c.stage_id
join stages rs on rs.id = r.stage_id
join descriptions e on e.id = p.description_id
join stages ds on ds.id = e.stage_id
join snippets s on s.id = e.snippet_id
join documents d on d.id = s.document_id;
comment on view preference_pairs is 'One row for each pair: both texts, models, signals, and where the code came from.';

create view pair_lineage as
select p.id as pair_id, p.sample,
       c.id as chosen_id, cs.model as chosen_model, cs.prompt_fingerprint as chosen_prompt_fingerprint,
       cs.sampling as chosen_sampling, cc.id as chosen_call_id, cc.prompt_tokens as chosen_prompt_tokens,
       cc.completion_tokens as chosen_completion_tokens, cc.latency_ms as chosen_latency_ms,
       r.id as rejected_id, rs.model as rejected_model, rs.prompt_fingerprint as rejected_prompt_fingerprint,
       rs.sampling as rejected_sampling, rc.id as rejected_call_id, rc.prompt_tokens as rejected_prompt_tokens,
       rc.completion_tokens as rejected_completion_tokens, rc.latency_ms as rejected_latency_ms,
       e.id as description_id, e.text as description, ds.model as description_model,
       ds.prompt_fingerprint as description_prompt_fingerprint, ds.sampling as description_sampling,
       ec.id as description_call_id, ec.prompt_tokens as description_prompt_tokens,
       ec.completion_tokens as description_completion_tokens, ec.latency_ms as description_latency_ms,
       s.id as snippet_id, s.unit, s.qualified_name, s.start_line, s.end_line,
       d.id as document_id, d.repository, d.revision, d.path, d.licence, d.licence_path,
       h.id as shard_id, h.name as shard, d.entry
from pairs p
join completions c on c.id = p.chosen_id
join stages cs on cs.id = c.stage_id
left join llm_calls cc on cc.id = c.call_id
join completions r on r.id = p.rejected_id
join stages rs on rs.id = r.stage_id
left join llm_calls rc on rc.id = r.call_id
join descriptions e on e.id = p.description_id
join stages ds on ds.id = e.stage_id
left join llm_calls ec on ec.id = e.call_id
join snippets s on s.id = e.snippet_id
join documents d on d.id = s.document_id
join shards h on h.id = d.shard_id;
comment on view pair_lineage is 'From a pair back to its source: completions, calls, description, snippet, document, shard.';

create view duplicates as
select j.stage_id, j.document_id, d.repository, d.path, j.class, j.similarity,
       j.kept_document_id, k.repository as kept_repository, k.path as kept_path
from rejections j
join documents d on d.id = j.document_id
join documents k on k.id = j.kept_document_id;
comment on view duplicates is 'Dropped copies, which document was kept in their place, and how similar it is.';

create view run_progress as
select u.id as run_id, u.pipeline, u.state as run_state, rs.name, rs.kind, rs.state, rs.done, rs.rejected,
       rs.seconds, rs.message, rs.stage_id, st.fingerprint,
       case when rs.kind in ('describe', 'generate')
            then (select count(*) from tasks t where t.stage_id = rs.stage_id and t.state in ('ready', 'leased'))
       end as waiting,
       exists (select from workers w where w.run_id = u.id and w.ended_at is null) as worker_open
from runs u
join run_stages rs on rs.run_id = u.id
join stages st on st.id = rs.stage_id;
comment on view run_progress is 'Stages of each run: state, rows done and rejected, rows that wait for a model.';

create view failures_by_class as
select j.stage_id, st.name as stage, st.kind, j.class, count(*) as rows, min(j.message) as example
from rejections j
join stages st on st.id = j.stage_id
where j.retried_at is null
group by j.stage_id, st.name, st.kind, j.class;
comment on view failures_by_class is 'Standing rejections by stage and class.';

create view usage_by_model as
select c.run_id, st.name as stage, c.stage_id, c.endpoint, c.model,
       count(*) as calls, count(*) filter (where c.class = 'ok') as answers,
       count(*) filter (where c.class <> 'ok') as failures,
       coalesce(sum(c.prompt_tokens), 0)::bigint as prompt_tokens,
       coalesce(sum(c.completion_tokens), 0)::bigint as completion_tokens,
       coalesce(sum(c.cost_microdollars), 0)::bigint as cost_microdollars,
       avg(c.latency_ms) as mean_latency_ms
from llm_calls c
join stages st on st.id = c.stage_id
group by c.run_id, st.name, c.stage_id, c.endpoint, c.model;
comment on view usage_by_model is 'Calls, tokens and cost by run, stage and model.';
