-- The shop's database. The exporter logs in as users that Vault makes in the role monitor.
CREATE ROLE shop LOGIN PASSWORD 'shop';
CREATE ROLE monitor NOLOGIN;
GRANT pg_monitor TO monitor;
CREATE DATABASE shop OWNER shop;
-- A target of the exporter whose password in Vault is an old one.
CREATE ROLE reports LOGIN PASSWORD 'this-year';
-- Vault's own: it makes users, and may give them the role monitor.
CREATE ROLE vault LOGIN CREATEROLE PASSWORD 'vault';
GRANT monitor TO vault WITH ADMIN OPTION;
