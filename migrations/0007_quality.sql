-- What is known of the quality of pairs beyond their own signals: overlap with evaluation sets.

create table contamination_sets (
    stage_id   bigint not null references stages,
    name       text not null,
    path       text not null,
    mark       text not null,
    items      bigint not null,
    texts      bigint not null,
    created_at timestamptz not null default now(),
    primary key (stage_id, name)
);
comment on table contamination_sets is 'Evaluation sets that a decontaminate stage compares pairs with, as they were when it did.';
comment on column contamination_sets.stage_id is 'The decontaminate stage.';
comment on column contamination_sets.name is 'Name of the set in the pipeline file.';
comment on column contamination_sets.path is 'Its file.';
comment on column contamination_sets.mark is 'Hash over its texts: another one makes the stage compare all pairs again.';
comment on column contamination_sets.items is 'Items of the set.';
comment on column contamination_sets.texts is 'Texts of these items that are long enough to be compared.';
comment on column contamination_sets.created_at is 'When it was read.';

create table contamination (
    stage_id   bigint not null references stages,
    pair_id    bigint not null references pairs,
    text       text not null check (text in ('prompt', 'chosen', 'rejected', 'snippet', 'document')),
    set_name   text not null,
    class      text not null check (class in ('ngram', 'near_duplicate')),
    item       text not null,
    field      text not null,
    similarity real not null,
    items      integer not null,
    excerpt    text not null,
    created_at timestamptz not null default now(),
    primary key (stage_id, pair_id, text, set_name, class)
);
comment on table contamination is 'Texts of pairs that overlap with an item of an evaluation set: for each text, set and class the item that overlaps most.';
comment on column contamination.stage_id is 'The decontaminate stage.';
comment on column contamination.pair_id is 'The pair.';
comment on column contamination.text is 'The text of the pair: prompt, chosen, rejected, the snippet that it was made from, or that snippet''s document.';
comment on column contamination.set_name is 'The evaluation set.';
comment on column contamination.class is 'ngram (a run of words in common) or near_duplicate (estimated Jaccard similarity of both texts).';
comment on column contamination.item is 'The item: its identifier in the set, else its line.';
comment on column contamination.field is 'The item''s field.';
comment on column contamination.similarity is 'ngram: share of the item''s n-grams that the text has; near_duplicate: estimated Jaccard similarity.';
comment on column contamination.items is 'Items of the set that this text overlaps with, this one included.';
comment on column contamination.excerpt is 'The first words in common, as they stand in the pair.';
comment on column contamination.created_at is 'When it was found.';
create index contamination_pair on contamination (pair_id);

comment on column stages.position is 'Source stages: the last documents.id that was processed; decontaminate: the last pairs.id.';

create view contaminated_pairs as
select c.pair_id, p.stage_id as pair_stage_id, p.split, c.stage_id, c.set_name, c.item, c.field, c.text, c.class,
       c.similarity, c.items, c.excerpt
from contamination c
join pairs p on p.id = c.pair_id;
comment on view contaminated_pairs is 'Pairs that overlap with an evaluation set: which pair, which item, which text, how much.';
