#!/bin/sh
# Run once, when Vault and PostgreSQL answer: what the exporter finds there. BAO_ADDR and BAO_TOKEN say where and who.
set -eu
: "${POSTGRES_ADDRESS:=postgres:5432}"

bao secrets list | grep -q '^database/' || bao secrets enable database
# shellcheck disable=SC1083 # {{...}} is Vault's.
bao write database/config/shop \
  plugin_name=postgresql-database-plugin \
  allowed_roles=monitor \
  connection_url="postgresql://{{username}}:{{password}}@${POSTGRES_ADDRESS}/shop?sslmode=disable" \
  username=vault password=vault
bao write database/roles/monitor \
  db_name=shop \
  creation_statements="CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE monitor" \
  revocation_statements="DROP ROLE IF EXISTS \"{{name}}\"" \
  default_ttl=10m max_ttl=1h

# A password that somebody changed in the database and not here.
bao kv put -mount=secret reports username=reports password=last-year

# The exporter's own token: it reads these, and nothing else.
bao policy write scheduler-exporter - <<'POLICY'
path "database/creds/monitor" { capabilities = ["read"] }
path "secret/data/reports" { capabilities = ["read"] }
path "sys/leases/revoke" { capabilities = ["update"] }
POLICY
bao token lookup exporter-token >/dev/null 2>&1 ||
  bao token create -id=exporter-token -policy=scheduler-exporter -period=24h
