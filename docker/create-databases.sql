-- Run once by the image, as its superuser: the role of the services owns two databases and may do nothing else.
\getenv password WAREHOUSE_PASSWORD
create role warehouse login password :'password';
create database warehouse owner warehouse;
create database dagster owner warehouse;
