#!/bin/bash
# Run once by the image's entry point: the user that cdc captures with, with the grants that it needs and no others.
set -euo pipefail
password=$(tr -d '\r\n' < /run/secrets/mysql_password)
docker_process_sql <<SQL
CREATE USER 'tidemark'@'%' IDENTIFIED BY '${password//\'/\'\'}';
GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'tidemark'@'%';
SQL
