alter table etl.table_state add column latest_day date;
comment on column etl.table_state.latest_day is
    'Latest business day of a row, days after the extraction''s own not counted; null without a business date column.';
