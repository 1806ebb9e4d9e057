alter table etl.table_state add column select_hash text;
comment on column etl.table_state.select_hash is
    'Hash of what was asked of the source: the profile''s SELECT with its settings, and the casts around it; null where the profile lacks the table.';
comment on column etl.table_state.contract_hash is 'Hash of the contract entry and the time zone that the table was made by.';
