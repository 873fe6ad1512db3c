"""What the daemon makes of the certificates that it is given."""

import hashlib
import ssl

import pytest

from tests.certificates import make_certificate
from workers import tls
from workers.errors import SettingsInvalid


def test_the_fingerprint_is_that_of_the_certificate(tmp_path):
    certificate, _ = make_certificate(tmp_path, "box")
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    assert tls.fingerprint(str(certificate)) == hashlib.sha256(der).hexdigest()


def test_without_files_there_is_no_tls_and_the_system_s_trust():
    assert (tls.showing("", ""), tls.fingerprint(""), tls.trusting("")) == (None, "", True)


@pytest.mark.parametrize("given", [("cert", ""), ("", "key")])
def test_a_certificate_without_its_key_is_named(given):
    with pytest.raises(SettingsInvalid, match="--tls-key"):
        tls.showing(*given)


@pytest.mark.parametrize(
    ("use", "flag"),
    [(tls.trusting, "--ca-file"), (tls.fingerprint, "--tls-cert"), (lambda path: tls.showing(path, path), "--tls-key")],
)
def test_a_file_that_is_missing_or_no_certificate_is_named(tmp_path, use, flag):
    (tmp_path / "text").write_text("hello")
    for name in ("missing", "text"):
        with pytest.raises(SettingsInvalid, match=flag):
            use(str(tmp_path / name))
