#!/bin/sh
# Generated from services/services.yaml by `make services`; edit templates/repository/deploy/compose/databases.sh.
# A role and a database for each service, the first time that the volume is empty.
set -eu
for name in remediation_seats stage_matching platform_scheduling events parents_cafes dropout_observatory projections directory; do
  psql -v ON_ERROR_STOP=1 -U postgres -c "CREATE ROLE $name LOGIN PASSWORD '$POSTGRES_PASSWORD'" -c "CREATE DATABASE $name OWNER $name"
done
