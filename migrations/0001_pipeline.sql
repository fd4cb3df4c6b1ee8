-- Everything a pipeline leaves behind. Table and column names are a contract: people write SQL against them.

create table stages (
    id                 bigint generated always as identity primary key,
    fingerprint        text not null unique,
    kind               text not null,
    name               text not null,
    settings           jsonb not null,
    inputs             bigint[] not null default '{}',
    model              text,
    prompt_fingerprint text,
    sampling           jsonb,
    position           bigint not null default 0,
    created_at         timestamptz not null default now()
);
comment on table stages is 'Stages by fingerprint. A changed setting makes a new row here; rows of the old one stay.';
comment on column stages.id is 'Identifier; the stage_id of every other table.';
comment on column stages.fingerprint is 'Hash of the kind, the settings that decide the output, the prompt, and the fingerprints of the stages it needs.';
comment on column stages.kind is 'Stage kind, e.g. ingest or generate.';
comment on column stages.name is 'Name in the pipeline file that first used it.';
comment on column stages.settings is 'The settings that decide the output.';
comment on column stages.inputs is 'Stages it needs, by id.';
comment on column stages.model is 'Model name of stages that call one.';
comment on column stages.prompt_fingerprint is 'Hash of the prompt templates of stages that call a model.';
comment on column stages.sampling is 'Sampling settings of stages that call a model.';
comment on column stages.position is 'Source stages: the last documents.id that was processed.';
comment on column stages.created_at is 'When it was first seen.';

create table runs (
    id          bigint generated always as identity primary key,
    pipeline    text not null,
    file        text not null,
    definition  text not null,
    options     jsonb not null default '{}',
    version     text not null,
    host        text not null,
    pid         integer not null,
    state       text not null default 'running' check (state in ('running', 'done', 'failed', 'interrupted')),
    started_at  timestamptz not null default now(),
    finished_at timestamptz
);
comment on table runs is 'One row for each start of codepmp run.';
comment on column runs.id is 'Identifier.';
comment on column runs.pipeline is 'Name of the pipeline.';
comment on column runs.file is 'Absolute path of the pipeline file.';
comment on column runs.definition is 'Text of the pipeline file as it was.';
comment on column runs.options is 'Command line options: select, limit.';
comment on column runs.version is 'Version of codepmp.';
comment on column runs.host is 'Host name of the process.';
comment on column runs.pid is 'Process id.';
comment on column runs.state is 'running, done, failed or interrupted; a killed run stays running here, see run_progress.';
comment on column runs.started_at is 'Start.';
comment on column runs.finished_at is 'End.';

create table run_stages (
    run_id      bigint not null references runs on delete cascade,
    stage_id    bigint not null references stages,
    name        text not null,
    kind        text not null,
    state       text not null default 'waiting'
                check (state in ('waiting', 'running', 'done', 'failed', 'interrupted', 'skipped')),
    done        bigint not null default 0,
    rejected    bigint not null default 0,
    seconds     double precision,
    message     text,
    started_at  timestamptz,
    finished_at timestamptz,
    primary key (run_id, name)
);
comment on table run_stages is 'Stages of a run: state, rows handled by that run, time.';
comment on column run_stages.run_id is 'The run.';
comment on column run_stages.stage_id is 'The stage as identified by its fingerprint.';
comment on column run_stages.name is 'Name in the pipeline file.';
comment on column run_stages.kind is 'Stage kind.';
comment on column run_stages.state is 'waiting, running, done, failed, interrupted or skipped (not selected).';
comment on column run_stages.done is 'Rows this run finished.';
comment on column run_stages.rejected is 'Rows this run rejected.';
comment on column run_stages.seconds is 'Wall time from start to end of the stage; stages overlap.';
comment on column run_stages.message is 'Why it failed.';
comment on column run_stages.started_at is 'Start.';
comment on column run_stages.finished_at is 'End.';

create table workers (
    id         bigint generated always as identity primary key,
    run_id     bigint not null references runs on delete cascade,
    started_at timestamptz not null default now(),
    ended_at   timestamptz
);
comment on table workers is 'Processes that claim rows. A live worker holds the advisory lock (x''636d70''::int, id); a free lock means it died.';
comment on column workers.id is 'Identifier, second key of its advisory lock.';
comment on column workers.run_id is 'Its run.';
comment on column workers.started_at is 'Start.';
comment on column workers.ended_at is 'When it left or was found dead.';

create table shards (
    id           bigint generated always as identity primary key,
    stage_id     bigint not null references stages,
    ordinal      integer not null,
    name         text not null,
    kind         text not null,
    bytes        bigint not null,
    modified_at  timestamptz,
    repository   text not null,
    revision     text,
    licence      text,
    licence_path text,
    cursor       bigint not null default 0,
    finished_at  timestamptz,
    unique (stage_id, name),
    unique (stage_id, ordinal)
);
comment on table shards is 'Folders, archives and JSONL files of an ingest stage, and how far each has been read.';
comment on column shards.id is 'Identifier.';
comment on column shards.stage_id is 'The ingest stage.';
comment on column shards.ordinal is 'Order of reading.';
comment on column shards.name is 'Path as matched by the source.';
comment on column shards.kind is 'dir, archive or jsonl.';
comment on column shards.bytes is 'Size on disk.';
comment on column shards.modified_at is 'Modification time when it was first read.';
comment on column shards.repository is 'Repository or package.';
comment on column shards.revision is 'Commit or version, where known.';
comment on column shards.licence is 'SPDX identifier, where one could be told.';
comment on column shards.licence_path is 'Licence file that was found.';
comment on column shards.cursor is 'Next entry to read.';
comment on column shards.finished_at is 'When its last entry was read.';

create table documents (
    id                 bigint generated by default as identity primary key,
    stage_id           bigint not null references stages,
    shard_id           bigint not null references shards,
    entry              bigint not null,
    repository         text not null,
    revision           text,
    path               text not null,
    licence            text,
    licence_path       text,
    content            text not null,
    content_hash       bytea not null,
    bytes              bigint not null,
    lines              integer not null,
    longest_line       integer not null,
    mean_line          real not null,
    alphanumeric_share real not null,
    comment_share      real not null,
    generated          text,
    parse_errors       integer not null,
    unique (shard_id, entry)
);
comment on table documents is 'Source files as read, with every signal that a filter may look at.';
comment on column documents.id is 'Identifier; ascending in the order of reading within a stage.';
comment on column documents.stage_id is 'The ingest stage.';
comment on column documents.shard_id is 'Archive, folder or file it came from.';
comment on column documents.entry is 'Position in the shard.';
comment on column documents.repository is 'Repository or package.';
comment on column documents.revision is 'Commit or version, where known.';
comment on column documents.path is 'Path in the repository.';
comment on column documents.licence is 'SPDX identifier, where known.';
comment on column documents.licence_path is 'Licence file that was found.';
comment on column documents.content is 'The text.';
comment on column documents.content_hash is 'BLAKE3 of the text, 16 bytes.';
comment on column documents.bytes is 'Length in bytes of UTF-8.';
comment on column documents.lines is 'Number of lines.';
comment on column documents.longest_line is 'Longest line in characters.';
comment on column documents.mean_line is 'Mean line length in characters.';
comment on column documents.alphanumeric_share is 'Share of alphanumeric characters, 0 to 1.';
comment on column documents.comment_share is 'Share of bytes in # comments, 0 to 1.';
comment on column documents.generated is 'Marker of a generated file, where one was found.';
comment on column documents.parse_errors is 'Syntax errors that tree-sitter found.';
create index documents_stage on documents (stage_id, id);
create index documents_hash on documents (content_hash);

create table sketches (
    stage_id     bigint not null references stages,
    document_id  bigint not null references documents,
    sketch       bytea not null,
    primary key (stage_id, document_id)
);
comment on table sketches is 'Similarity sketches of the documents that a dedupe stage kept; the index is rebuilt from them.';
comment on column sketches.stage_id is 'The dedupe stage.';
comment on column sketches.document_id is 'The kept document.';
comment on column sketches.sketch is 'The sketch; its first byte is the format version.';

create table snippets (
    id             bigint generated always as identity primary key,
    stage_id       bigint not null references stages,
    document_id    bigint not null references documents,
    ordinal        integer not null,
    unit           text not null,
    name           text not null,
    qualified_name text not null,
    start_line     integer not null,
    end_line       integer not null,
    signature      text not null,
    docstring      text,
    imports        text[] not null default '{}',
    text           text not null,
    token_estimate integer not null,
    xid            xid8 not null default pg_current_xact_id(),
    unique (stage_id, document_id, ordinal)
);
comment on table snippets is 'Functions, methods, classes and modules cut out of documents.';
comment on column snippets.id is 'Identifier.';
comment on column snippets.stage_id is 'The parse stage.';
comment on column snippets.document_id is 'The document.';
comment on column snippets.ordinal is 'Order within the document.';
comment on column snippets.unit is 'function, method, class or module.';
comment on column snippets.name is 'Name.';
comment on column snippets.qualified_name is 'Name with the classes and functions around it.';
comment on column snippets.start_line is 'First line in the document, from 1.';
comment on column snippets.end_line is 'Last line in the document, inclusive.';
comment on column snippets.signature is 'The def or class line.';
comment on column snippets.docstring is 'Docstring, cleaned of indentation.';
comment on column snippets.imports is 'Modules that it uses.';
comment on column snippets.text is 'The code, dedented.';
comment on column snippets.token_estimate is 'Estimated tokens.';
comment on column snippets.xid is 'Transaction that wrote the row; lets a reader follow the table without missing a late commit.';
create index snippets_follow on snippets (stage_id, xid);
create index snippets_document on snippets (document_id);

create table tasks (
    stage_id  bigint not null references stages,
    input_id  bigint not null,
    sample    integer not null default 0,
    state     text not null default 'ready' check (state in ('ready', 'leased', 'done', 'rejected')),
    worker_id bigint references workers,
    primary key (stage_id, input_id, sample)
);
comment on table tasks is 'The queue of stages that call models: one row for each answer wanted.';
comment on column tasks.stage_id is 'The stage.';
comment on column tasks.input_id is 'Snippet (describe) or description (generate).';
comment on column tasks.sample is 'Sample number, from 0.';
comment on column tasks.state is 'ready, leased (a worker is at it), done or rejected.';
comment on column tasks.worker_id is 'Who leased it.';
create index tasks_ready on tasks (stage_id, input_id, sample) where state = 'ready';
create index tasks_open on tasks (stage_id) where state = 'leased';
create index tasks_leased on tasks (worker_id) where state = 'leased';

create table llm_calls (
    id                bigint generated by default as identity primary key,
    run_id            bigint not null references runs,
    stage_id          bigint not null references stages,
    input_id          bigint not null,
    sample            integer not null,
    attempt           integer not null,
    request_key       bytea not null,
    endpoint          text not null,
    model             text not null,
    class             text not null,
    status            integer,
    message           text,
    finish_reason     text,
    prompt_tokens     integer,
    completion_tokens integer,
    cost_microdollars bigint,
    latency_ms        double precision not null,
    started_at        timestamptz not null,
    answer            text
);
comment on table llm_calls is 'Every call to a model, failed ones too. Rows of class ok are the ledger: the same request is never paid for again.';
comment on column llm_calls.id is 'Identifier.';
comment on column llm_calls.run_id is 'The run that made it.';
comment on column llm_calls.stage_id is 'The stage that made it.';
comment on column llm_calls.input_id is 'Snippet (describe) or description (generate) it was made for.';
comment on column llm_calls.sample is 'Sample number.';
comment on column llm_calls.attempt is 'Attempt within the row, from 1.';
comment on column llm_calls.request_key is 'Hash of model, messages, sampling and sample number.';
comment on column llm_calls.endpoint is 'Name of the endpoint in the pipeline file.';
comment on column llm_calls.model is 'Model asked.';
comment on column llm_calls.class is 'ok, or the class of failure: throttled, overloaded, timed_out, connection, truncated, filtered, malformed, empty, refused, bad_request, unauthorised, out_of_quota.';
comment on column llm_calls.status is 'HTTP status, where there was one.';
comment on column llm_calls.message is 'What went wrong.';
comment on column llm_calls.finish_reason is 'As the server said.';
comment on column llm_calls.prompt_tokens is 'Tokens of the prompt, by the server''s count.';
comment on column llm_calls.completion_tokens is 'Tokens of the answer, by the server''s count.';
comment on column llm_calls.cost_microdollars is 'Cost in millionths of a dollar, where the endpoint has prices.';
comment on column llm_calls.latency_ms is 'Milliseconds from sending to the last byte.';
comment on column llm_calls.started_at is 'When it was sent.';
comment on column llm_calls.answer is 'The raw answer of a call of class ok.';
create index llm_calls_ledger on llm_calls (request_key) where class = 'ok';
create index llm_calls_stage on llm_calls (stage_id, input_id);

create table descriptions (
    id         bigint generated always as identity primary key,
    stage_id   bigint not null references stages,
    snippet_id bigint not null references snippets,
    sample     integer not null,
    text       text not null,
    call_id    bigint references llm_calls,
    created_at timestamptz not null default now(),
    xid        xid8 not null default pg_current_xact_id(),
    unique (stage_id, snippet_id, sample)
);
comment on table descriptions is 'Instructions that a person could have given to get the snippet.';
comment on column descriptions.id is 'Identifier.';
comment on column descriptions.stage_id is 'The describe stage: model, prompt and sampling.';
comment on column descriptions.snippet_id is 'The snippet.';
comment on column descriptions.sample is 'Sample number.';
comment on column descriptions.text is 'The instruction.';
comment on column descriptions.call_id is 'The call that it was paid with.';
comment on column descriptions.created_at is 'When it was committed.';
comment on column descriptions.xid is 'Transaction that wrote the row; see snippets.xid.';
create index descriptions_follow on descriptions (stage_id, xid);
create index descriptions_snippet on descriptions (snippet_id);

create table completions (
    id             bigint generated always as identity primary key,
    stage_id       bigint not null references stages,
    description_id bigint not null references descriptions,
    sample         integer not null,
    role           text not null,
    text           text not null,
    blocks         integer not null,
    call_id        bigint references llm_calls,
    created_at     timestamptz not null default now(),
    unique (stage_id, description_id, sample)
);
comment on table completions is 'Code written for a description, with code fences removed.';
comment on column completions.id is 'Identifier.';
comment on column completions.stage_id is 'The generate stage: model, prompt and sampling.';
comment on column completions.description_id is 'The description.';
comment on column completions.sample is 'Sample number.';
comment on column completions.role is 'Role of the stage, e.g. chosen or rejected.';
comment on column completions.text is 'The code.';
comment on column completions.blocks is 'Code blocks in the raw answer; 0: it was bare code.';
comment on column completions.call_id is 'The call it was paid with; null where no model was asked (source as chosen).';
comment on column completions.created_at is 'When it was committed.';
create index completions_description on completions (description_id);

create table pairs (
    id             bigint generated always as identity primary key,
    stage_id       bigint not null references stages,
    description_id bigint not null references descriptions,
    chosen_id      bigint not null references completions,
    rejected_id    bigint not null references completions,
    sample         integer not null,
    prompt         text not null,
    split          text not null check (split in ('train', 'test')),
    chosen_valid   boolean not null,
    rejected_valid boolean not null,
    length_ratio   real not null,
    similarity     real not null,
    unique (stage_id, description_id, sample)
);
comment on table pairs is 'Preference pairs, with the signals that decide whether one is good.';
comment on column pairs.id is 'Identifier.';
comment on column pairs.stage_id is 'The pair stage.';
comment on column pairs.description_id is 'The description that both sides answer.';
comment on column pairs.chosen_id is 'Completion of the strong side.';
comment on column pairs.rejected_id is 'Completion of the weak side.';
comment on column pairs.sample is 'Sample number.';
comment on column pairs.prompt is 'The prompt of the pair, rendered from the description.';
comment on column pairs.split is 'train or test; all pairs of a repository are on one side.';
comment on column pairs.chosen_valid is 'Whether the chosen side parses.';
comment on column pairs.rejected_valid is 'Whether the rejected side parses.';
comment on column pairs.length_ratio is 'Length of chosen over length of rejected, in characters.';
comment on column pairs.similarity is 'Sorensen-Dice similarity of both sides over character pairs, 0 to 1.';
create index pairs_stage on pairs (stage_id, id);

create table rejections (
    id               bigint generated always as identity primary key,
    run_id           bigint not null references runs,
    stage_id         bigint not null references stages,
    shard_id         bigint references shards,
    entry            bigint,
    document_id      bigint references documents,
    snippet_id       bigint references snippets,
    description_id   bigint references descriptions,
    sample           integer,
    path             text,
    class            text not null,
    message          text not null,
    kept_document_id bigint references documents,
    similarity       real,
    created_at       timestamptz not null default now(),
    retried_at       timestamptz
);
comment on table rejections is 'Whatever a stage did not hand on, with its reason. Nothing is dropped without a row here.';
comment on column rejections.id is 'Identifier.';
comment on column rejections.run_id is 'The run that rejected it.';
comment on column rejections.stage_id is 'The stage that rejected it.';
comment on column rejections.shard_id is 'Shard, where an entry could not be read.';
comment on column rejections.entry is 'Entry of the shard, where it could not be read.';
comment on column rejections.document_id is 'The document.';
comment on column rejections.snippet_id is 'The snippet (describe).';
comment on column rejections.description_id is 'The description (generate, pair).';
comment on column rejections.sample is 'Sample number.';
comment on column rejections.path is 'Path of the entry or document.';
comment on column rejections.class is 'Reason, e.g. exact_duplicate, long_line, syntax_error, truncated.';
comment on column rejections.message is 'Reason in words, with position or values.';
comment on column rejections.kept_document_id is 'Duplicates: the document that was kept.';
comment on column rejections.similarity is 'Duplicates: estimated Jaccard similarity, 1 for exact copies.';
comment on column rejections.created_at is 'When it was rejected.';
comment on column rejections.retried_at is 'When codepmp retry took it up again; null: it stands.';
create index rejections_document on rejections (document_id, stage_id);
create index rejections_stage on rejections (stage_id, class) where retried_at is null;
