#!/usr/bin/env python3
"""Fill an etcd over its HTTP gateway, or keep it busy until killed.

etcd_load.py URL fill KEYS    put that many keys, a lease for every 50th
etcd_load.py URL work         watch, read, overwrite and delete for ever
"""

import base64
import http.client
import json
import sys
import threading
import urllib.parse

BATCH = 100  # puts in one transaction; etcd's limit is 128


class Client:
    """One keep-alive connection to the gateway."""

    def __init__(self, url):
        self.address = urllib.parse.urlsplit(url).netloc
        self.connection = http.client.HTTPConnection(self.address, timeout=60)

    def call(self, path, body):
        """POST a request and return the answer."""
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {answer}")
        return answer

    def watch(self, prefix):
        """Open a watch on a prefix and read its events for ever."""
        request = {"create_request": {"key": text(prefix), "range_end": text(prefix[:-1] + chr(ord(prefix[-1]) + 1))}}
        self.connection.request("POST", "/v3/watch", json.dumps(request))
        response = self.connection.getresponse()
        while response.readline():
            pass


def text(value):
    """The gateway wants bytes as base64."""
    return base64.b64encode(value.encode()).decode()


def key(number):
    """Keys as Kubernetes makes them."""
    kinds = ("pods", "services", "configmaps", "secrets", "leases")
    return f"/registry/{kinds[number % 5]}/namespace-{number % 40}/object-{number:06d}"


def value(number):
    """A value of 100 to 700 bytes."""
    return json.dumps({"name": f"object-{number}", "labels": {"app": f"app-{number % 97}"}, "data": "x" * (50 + number % 600)})


def fill(client, keys):
    """Put the keys, many in a transaction."""
    for start in range(0, keys, BATCH):
        puts = []
        for number in range(start, min(start + BATCH, keys)):
            put = {"key": text(key(number)), "value": text(value(number))}
            if number % 50 == 0:
                put["lease"] = client.call("/v3/lease/grant", {"TTL": 36000})["ID"]
            puts.append({"request_put": put})
        client.call("/v3/kv/txn", {"success": puts})


def work(url):
    """Watch a few prefixes and keep reading and writing."""
    for kind in ("pods", "services", "leases"):
        threading.Thread(target=Client(url).watch, args=(f"/registry/{kind}/",), daemon=True).start()
    client, number = Client(url), 0
    while True:
        number += 1
        client.call("/v3/kv/put", {"key": text(key(number % 5000)), "value": text(value(number))})
        client.call("/v3/kv/range", {"key": text("/registry/pods/"), "range_end": text("/registry/pods0"), "limit": 200})
        client.call("/v3/kv/deleterange", {"key": text(key(100_000 + number))})


def main():
    """The command line."""
    if len(sys.argv) == 4 and sys.argv[2] == "fill":
        fill(Client(sys.argv[1]), int(sys.argv[3]))
    elif len(sys.argv) == 3 and sys.argv[2] == "work":
        work(sys.argv[1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
