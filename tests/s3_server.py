"""An s3:// of its own: moto's server, to which the variable S3_ENDPOINT leads tensorflow-io."""

import importlib.util

from tests.bucket_server import BucketServer
from tests.faulty_proxy import FaultyProxy

_KEYS = {"AWS_ACCESS_KEY_ID": "key-of-the-tests", "AWS_SECRET_ACCESS_KEY": "secret"}

WRITES = r"^(POST|PUT|DELETE) "
"""Pattern for a `Fault`: the requests that change a bucket."""


def s3_unavailable() -> str | None:
    """Returns why there can be no `S3Server` here, for `pytest.skip`; None where there can."""
    for module in ("tensorflow_io", "moto", "boto3"):  # Found, not imported: it takes seconds.
        if importlib.util.find_spec(module) is None:
            return f"needs {module}"
    return None


class S3Server(BucketServer):
    """Buckets that processes see as s3://; see `BucketServer`."""

    scheme = "s3"

    def __init__(self, *buckets: str):
        """Starts it, with some buckets."""
        import boto3
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.proxy = _S3Proxy(port, credential=_KEYS["AWS_ACCESS_KEY_ID"])
        self._client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        for bucket in buckets:
            self.create_bucket(bucket)

    def stop(self) -> None:
        self._client.close()
        self.proxy.stop()
        self._server.stop()

    def variables(self) -> dict[str, str]:
        endpoint = {"S3_ENDPOINT": f"http://127.0.0.1:{self.proxy.port}", "S3_USE_HTTPS": "0"}
        return _KEYS | endpoint | {"AWS_REGION": "us-east-1"}

    def create_bucket(self, bucket: str) -> None:
        self._client.create_bucket(Bucket=bucket)

    def put(self, bucket: str, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=bucket, Key=name, Body=content)

    def get(self, bucket: str, name: str) -> bytes:
        return self._client.get_object(Bucket=bucket, Key=name)["Body"].read()

    def delete(self, bucket: str, name: str) -> None:
        self._client.delete_object(Bucket=bucket, Key=name)

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))


class _S3Proxy(FaultyProxy):
    """Fails in Amazon's words."""

    def error_body(self, status: int) -> str:
        code = {401: "InvalidAccessKeyId", 403: "AccessDenied"}.get(status, "SlowDown")
        return f"<Error><Code>{code}</Code><Message>the test wants {status}</Message></Error>"
