#!/bin/bash
# Run once by the image's entry point, in a shell of its own (so none of its functions are here), with root's password exported:
# the user that cdc captures with, with the grants that it needs and no others.
set -euo pipefail
password=$(tr -d '\r\n' < /run/secrets/mysql_password)
MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --protocol=socket --user=root <<SQL
CREATE USER 'tidemark'@'%' IDENTIFIED BY '${password//\'/\'\'}';
GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'tidemark'@'%';
SQL
