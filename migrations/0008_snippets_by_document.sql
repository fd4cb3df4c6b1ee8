-- One index in place of two: the order of a snippet in its document is unique, and its document is what it is looked up
-- by. Every snippet costs one entry less while source is read.
create unique index snippets_place on snippets (document_id, stage_id, ordinal);
drop index snippets_document;
alter table snippets drop constraint snippets_stage_id_document_id_ordinal_key;
