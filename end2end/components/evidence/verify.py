"""A second opinion on an evidence pack: verify.py FOLDER

Written from docs/adr/0024 and the pack's own README alone, with the PyPI package `cryptography`; it shares no code with
Holdfast. Prints what it verified; the first thing that is wrong ends it with exit code 1.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def wrong(what):
    sys.exit(f"wrong: {what}")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def read_keys(root):
    keys = {}
    for path in sorted((root / "keys").glob("*.pem")):
        key = serialization.load_pem_public_key(path.read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            wrong(f"{path.name} is no Ed25519 key")
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if path.stem != sha256(der):
            wrong(f"{path.name} is not the key that its name says")
        keys[path.stem] = key
    return keys


def opened(path, keys):
    """The payload of an envelope whose signature fits, and the hash of what is signed."""
    envelope = json.loads(path.read_text())
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    (signature,) = envelope["signatures"]
    try:
        keys[signature["keyid"]].verify(base64.b64decode(signature["sig"], validate=True), signed)
    except (InvalidSignature, KeyError) as e:
        wrong(f"{path.name}: {type(e).__name__}")
    return payload, sha256(signed)


def main(root):
    keys = read_keys(root)
    manifest, _ = opened(root / "manifest.dsse.json", keys)
    if manifest != (root / "manifest.json").read_bytes():
        wrong("manifest.json is not what was signed")
    listed = {"manifest.json", "manifest.dsse.json"}
    for entry in json.loads(manifest)["files"]:
        content = (root / entry["path"]).read_bytes()
        if sha256(content) != entry["sha256"] or len(content) != entry["bytes"]:
            wrong(f"{entry['path']} was changed")
        listed.add(entry["path"])
    there = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}
    if there != listed:
        wrong(f"files and manifest differ: {sorted(there ^ listed)}")
    lines = (root / "chain.csv").read_text().splitlines()[1:]
    chain = {0: ""}
    for n, line in enumerate(lines, 1):
        number, digest = line.split(",")
        if int(number) != n:
            wrong(f"chain.csv has {number} where {n} belongs")
        chain[n] = digest
    records = sorted([*(root / "envelopes").glob("*.json"), *(root / "countersignatures").glob("*.json")])
    for path in records:
        payload, digest = opened(path, keys)
        statement = json.loads(payload)
        n = statement["sequence"]
        if path.stem != f"{n:06}" or chain[n] != digest or chain[n - 1] != statement["previous"]:
            wrong(f"{path.name} is not at its place in the chain")
    print(f"{len(listed)} files, {len(records)} records, {len(keys)} keys")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
