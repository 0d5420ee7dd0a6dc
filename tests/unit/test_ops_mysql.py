"""What a failed connection to MySQL means."""

from __future__ import annotations

import ssl

import pymysql
import pytest
from pymysql.constants import CR

from ops.mysql import translate
from schemas.errors import RefusedError, TidemarkError, UnreachableError


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), RefusedError),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), UnreachableError),
        (ConnectionResetError(104, "Connection reset by peer"), UnreachableError),
    ],
)
def test_only_a_certificate_is_refused(cause: OSError, kind: type[TidemarkError]) -> None:
    error = pymysql.err.OperationalError(CR.CR_CONN_HOST_ERROR, f"Can't connect to MySQL server on 'db1' ({cause})")
    error.original_exception = cause
    found = translate(error, "db1:3306")
    assert isinstance(found, kind)
    assert found.where == "db1:3306"
    assert ("subjectAltName" in found.hint) == (kind is RefusedError)
