-- Run once by the image, as its superuser: an ordinary role for the services, and the two databases that it owns.
\getenv password WAREHOUSE_PASSWORD
create role warehouse login password :'password';
create database warehouse owner warehouse;
create database dagster owner warehouse;
