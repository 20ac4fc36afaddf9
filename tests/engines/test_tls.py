"""A Milvus that is reached by TLS: nginx, with a certificate of its own, stands before it."""

import datetime
import ipaddress
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from index.address import MilvusAddress
from index.answers.milvus_store import MilvusStore
from index.answers.store import Query
from model.errors import LibraryError
from tests.engines.servers import MilvusServer, wait_until
from tests.index.catalogues import number_of
from tests.index.milvus.lite import BUNDLE, nobody_listens, published
from tests.index.scored import by_hand, library
from tests.service.nginx import NGINX

_CONFIGURATION = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        location / {{
            grpc_pass grpc://127.0.0.1:{milvus};
            grpc_read_timeout 600s;
        }}
    }}
}}
"""


def write_certificate(folder: Path) -> Path:
    """A certificate for this machine, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, open_text = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, open_text))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    return folder / "certificate.pem"


@contextmanager
def by_tls(milvus: MilvusServer) -> Iterator[MilvusAddress]:
    assert NGINX is not None, "nginx is not installed"
    port = nobody_listens()
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        ca = write_certificate(folder)
        text = _CONFIGURATION.format(folder=folder, port=port, milvus=milvus.port)
        (folder / "nginx.conf").write_text(text)
        with (folder / "log").open("ab") as log:
            command = [NGINX, "-c", str(folder / "nginx.conf"), "-e", "stderr"]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: (folder / "pid").exists() or process.poll() is not None, "nginx does not start")
            assert process.poll() is None, (folder / "log").read_text()
            plain = milvus.address("secured", seconds=20, drain_seconds=0.01)
            yield replace(plain, host="localhost", port=port, tls=True, ca=ca)
        finally:
            process.terminate()
            process.wait(20)


def test_what_is_published_by_tls_is_found_by_tls(milvus: MilvusServer, tmp_path: Path) -> None:
    records, vectors, biases = library(5, 40, 3)
    with by_tls(milvus) as address:
        assert str(address).startswith("milvus+tls://localhost:")
        with published(address, records, vectors, biases) as store:
            query = Query(vectors[3])
            expected = by_hand(records, vectors, biases, query.embedding, None, {})
            assert [number_of(one) for one in store.search(query, 40).records(range(40))] == [
                row for row, _ in expected
            ]
        # Who does not know its certificate, or expects another, does not get as far as the token.
        for ca in (None, write_certificate(tmp_path)):
            with pytest.raises(LibraryError, match="does not answer"):
                MilvusStore.open(replace(address, ca=ca, seconds=3), BUNDLE)
