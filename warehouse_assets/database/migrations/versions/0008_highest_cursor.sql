alter table etl.table_state add column highest_cursor text;
comment on column etl.table_state.highest_cursor is
    'The highest cursor read: the watermark, or later than it where a row is dated ahead of the source''s now.';
