"""The lab: a vendor, a resolver and a proxy on loopback, in namespaces of their own.

    lab.py DIR COMMAND...   runs COMMAND inside and ends with its exit code
    lab.py DIR              says `ready` and stays until its standard input ends; others join by `nsenter --net --mount`

DIR gets ca.pem, which clients must trust, server.pem for other servers, and vendor.jsonl, the truth.
"""

import argparse
import asyncio
import os
import signal
import ssl
import sys
from pathlib import Path

import trustme

import clock
import dns
import namespace
import proxy
from log import Log
from vendor import Vendor

HOSTS = [
    "api.openai.com",
    "api.anthropic.com",
    "api.cohere.com",
    "api.groq.com",
    "api.mistral.ai",
    "api.together.ai",
    "api-inference.together.ai",
    "api.together.xyz",
    "api.x.ai",
    "bedrock-runtime.us-east-1.amazonaws.com",
    "generativelanguage.googleapis.com",
    "router.huggingface.co",
    "*.openai.azure.com",
    "*.services.ai.azure.com",
    "localhost",
]

# Of Ollama.
PLAIN_PORT = 11434


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dns-delay-ms", type=float, default=0)
    parser.add_argument("--http2", action="store_true", help="vendors speak HTTP/2 with clients that can")
    parser.add_argument("--here", action="store_true", help="in the namespaces that it is started in: they are private")
    parser.add_argument("dir", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    arguments.dir = arguments.dir.resolve()
    arguments.dir.mkdir(parents=True, exist_ok=True)
    if not arguments.here:
        namespace.enter(arguments.dir)
    return asyncio.run(run(arguments))


async def run(arguments: argparse.Namespace) -> int:
    log = Log(str(arguments.dir / "vendor.jsonl"))
    log.write("clock", unix_offset_ns=clock.unix_offset_ns())
    await dns.serve(log, arguments.dns_delay_ms / 1000)
    _proxy = await proxy.serve(3128)
    vendors = Vendor(log)
    plain = asyncio.create_task(vendors.serve(PLAIN_PORT, None))
    vendor = asyncio.create_task(vendors.serve(443, certificates(arguments.dir, arguments.http2)))
    await asyncio.sleep(0)
    if arguments.command:
        # Ctrl-C is for the command; the lab lives until it has ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process = await asyncio.create_subprocess_exec(
            *arguments.command,
            env=os.environ | environment(arguments.dir),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        prefer_this_process()
        ended = asyncio.create_task(process.wait())
    else:
        prefer_this_process()
        print("ready", flush=True)
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    done, _ = await asyncio.wait([ended, vendor, plain], return_when=asyncio.FIRST_COMPLETED)
    for failed in done - {ended}:
        failed.result()
    code = ended.result() if arguments.command else 0
    return code if code >= 0 else 128 - code


def certificates(directory: Path, http2: bool) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue_cert(*HOSTS)
    certificate.configure_cert(context)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


def environment(directory: Path) -> dict[str, str]:
    """What makes clients trust the vendors and the openai package content."""
    authority = str(directory / "ca.pem")
    trust = {name: authority for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")}
    return {**trust, "OPENAI_API_KEY": "sk-lab"}


def prefer_this_process() -> None:
    """A vendor's own machine would not wait for the application's CPU."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except PermissionError:
        print("lab: may not raise its priority; its answers may come late", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
