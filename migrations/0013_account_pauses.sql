-- Pauses that a model server asks for hold for every process on the database.

alter table accounts add column paused_until double precision not null default 0;
comment on column accounts.paused_until is 'Until when no process sends anything, as a model server has asked for, in seconds since 1970 by this server''s clock. Set it to 0 to go on at once; only the process that was asked still waits.';
comment on table accounts is 'Accounts of endpoints. Whoever grants out of an account locks its row.';
