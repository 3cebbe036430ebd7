"""Proxies are for the Internet, not for hosts of one run, nor for a machine's own metadata."""

import os

_PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
_METADATA_SERVERS = ("metadata.google.internal", "169.254.169.254")


def bypass_proxies() -> None:
    """Has this process connect with other hosts directly, in spite of `http_proxy`.

    A proxy for the Internet does not know them, and gRPC, of TensorFlow and of JAX, would wait for
    it forever; nor has it the metadata of this machine, from which JAX learns its place in a TPU
    slice. Downloads from buckets still go through it, and so does gRPC where `grpc_proxy` says so.
    """
    # Only where there is one: the gRPC of older versions logs that the empty value is no address.
    if not any(map(os.environ.get, _PROXIES)):
        return
    os.environ.setdefault("grpc_proxy", "")
    # In lower case, which wins wherever both are read.
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    metadata_ip = os.environ.get("GCE_METADATA_IP", "").partition(":")[0]
    names = [*given.split(","), *_METADATA_SERVERS, metadata_ip]
    os.environ["no_proxy"] = ",".join(dict.fromkeys(filter(None, map(str.strip, names))))
