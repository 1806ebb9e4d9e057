-- The warehouse itself is made by the image (POSTGRES_DB); this is Dagster's own storage.
create database dagster;
