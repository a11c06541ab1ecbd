#!/usr/bin/env python3
"""Checks an exported history: check_history.py FILE PUBLIC_KEY (`x` in /v2/log/jwks.json). See docs/auditing.md."""
import base64, hashlib, json, subprocess, sys, tempfile


def wrong(line, what):
    sys.exit(f"line {line}: {what}")


def signed_by(key, signature, message):
    """Whether the key (Ed25519) signed the message, by the command openssl."""
    try:
        key, signature = (base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) for text in (key, signature))
    except (TypeError, ValueError):
        return False
    der = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + key).decode()
    pem = f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n".encode()
    with tempfile.NamedTemporaryFile() as k, tempfile.NamedTemporaryFile() as s, tempfile.NamedTemporaryFile() as m:
        for file, content in (k, pem), (s, signature), (m, message):
            file.write(content)
            file.flush()
        verify = f"openssl pkeyutl -verify -pubin -inkey {k.name} -rawin -in {m.name} -sigfile {s.name}"
        return subprocess.run(verify.split(), capture_output=True).returncode == 0


path, key = sys.argv[1:]
lines, line = [], {}  # of each line: its SHA-256, the one that it says of the line before, its version
for raw in open(path, "rb"):
    try:
        line = json.loads(raw)
        lines.append((hashlib.sha256(raw.rstrip(b"\n")).hexdigest(), line.get("previous"), line.get("version")))
    except (AttributeError, ValueError):
        wrong(len(lines) + 1, "it isn't a JSON object")
    header = line if len(lines) == 1 else header
if not lines or header.get("format") != "runtime-manager history 1":
    wrong(1, "an export doesn't begin with it")
count, message = line.get("changes"), f"runtime-manager history 1\n{line.get('changes')}\n{line.get('previous')}\n"
genuine = signed_by(key, line.get("signature"), message.encode())
for i in range(1, len(lines)):
    if lines[i][1] != lines[i - 1][0]:  # One of the two was altered, or something between them is missing.
        intact = genuine if i == len(lines) - 1 else lines[i + 1][1] == lines[i][0]
        if intact and genuine and count > len(lines) - 2:
            wrong(i + 1, "lines before it are missing")
        wrong(i if intact else i + 1, "it isn't the line that was exported here")
if not genuine:
    wrong(len(lines), "it isn't an end that this key signed")
if [version for _, _, version in lines[1:-1]] != list(range(header["from"], header["to"] + 1)):
    wrong(1, "it isn't the beginning of what follows")
print(f"whole: {count} changes of {header['group']['name']}, signed by this key")
