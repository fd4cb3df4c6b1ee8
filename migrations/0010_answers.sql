-- What each answer costs to commit. Run, stage, worker and call of a row are written by the program alone and never removed
-- by it: checking them took a quarter of the server's time, and every commit locked the same few rows. The keys that hold
-- the lineage (pair, completion, description, snippet, document) stay.

alter table tasks drop constraint tasks_stage_id_fkey, drop constraint tasks_worker_id_fkey;
alter table llm_calls drop constraint llm_calls_run_id_fkey, drop constraint llm_calls_stage_id_fkey;
alter table descriptions drop constraint descriptions_stage_id_fkey, drop constraint descriptions_call_id_fkey;
alter table completions drop constraint completions_stage_id_fkey, drop constraint completions_call_id_fkey;

-- All of a stage's leased tasks had one key in it, so that every lease went through the same page. There are only as many
-- as workers hold: tasks_leased finds them.
drop index tasks_open;
