"""The command line of the day centre's software.

    python -m examples.partner_system keys --folder F
    python -m examples.partner_system agree --folder F --agreement FILE
    python -m examples.partner_system refer --folder F --partner-keys FILE --broker URL --referral FILE [FILE ...]

Every step is a line of JSON on standard output, in codes and ids. The exit code is 0 if all is well (`refer`: if every
person has arrived), 1 if somebody has not, 2 if the command could not be carried out.
"""

import argparse
import asyncio
import os
from contextlib import closing
from pathlib import Path

from . import moments
from .desk import Desk
from .folder import Folder, read_text
from .happened import Happened
from .keys import Kind
from .notes import read_vkey
from .referral_file import ReferralFile
from .refusal import Refused
from .run import Journal, Run, Ways

OWN = "accueil-fr"
"""The day centre Accueil Exemple, which does not exist."""
SUITES = {1: Kind.X_WING, 2: Kind.X25519}
BROKER = "ACCUEIL_BROKER"
"""The environment variable that may hold the broker's URL, so that its password stands in no list of processes."""


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command, and return the exit code."""
    options = _parser().parse_args(arguments)
    journal = Journal(_print)
    try:
        passphrase = options.passphrase_file.read_bytes().strip() if options.passphrase_file else None
        folder = Folder(options.folder, passphrase)
        match options.command:
            case "keys":
                return _keys(folder, options, journal)
            case "agree":
                return _agree(folder, options, journal)
            case _:
                return _refer(folder, options, journal)
    except Refused as refused:
        journal.tell([Happened("refused", None, {"code": refused.code})])
    except OSError:
        journal.tell([Happened("refused", None, {"code": "file-unreadable"})])
    return 2


def _keys(folder: Folder, options: argparse.Namespace, journal: Journal) -> int:
    keychain, identity = folder.make_keys(options.organisation, SUITES[options.suite], moments.now())
    journal.tell([Happened("keys.made", None, {"identity": identity.vkey, "serial": keychain.serial})])
    return 0


def _agree(folder: Folder, options: argparse.Namespace, journal: Journal) -> int:
    try:
        compared = read_vkey(read_text(options.partner_identity)) if options.partner_identity else None
    except ValueError:
        raise Refused("identity-malformed") from None
    agreement, path = folder.countersign(read_text(options.agreement), compared)
    identities = {party.organisation: party.identity.vkey for party in agreement.parties}
    kinds = {f"{party.organisation}.kind": party.kind for party in agreement.parties}
    journal.tell([Happened("agreement.signed", None, {"file": path.name, **identities, **kinds})])
    return 0


def _refer(folder: Folder, options: argparse.Namespace, journal: Journal) -> int:
    if not (options.broker or options.http):
        raise Refused("no-way-given")
    keychain = folder.keychain()
    files = [ReferralFile.load(path) for path in options.referral]
    with closing(folder.store()) as store:
        desk = Desk(keychain, folder.partners(keychain, options.partner_keys, store), store)
        run = Run(desk, journal, Ways(options.broker, options.http))
        arrived = asyncio.run(run.hand_over(files, options.to, options.timeout, withdraw=options.withdraw))
    journal.tell([Happened("done", None, {"arrived": arrived, "of": len(files)})])
    return 0 if arrived == len(files) else 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--folder", type=Path, required=True, help="where keys, agreements and state are kept")
    common.add_argument("--passphrase-file", type=Path, help="a file with the passphrase of our keys")
    parser = argparse.ArgumentParser(prog="partner_system", description="Accueil Exemple, a day centre.")
    commands = parser.add_subparsers(dest="command", required=True)

    keys = commands.add_parser("keys", parents=[common], help="make our keys, or renew them")
    keys.add_argument("--organisation", default=OWN, help="our id (default: %(default)s)")
    keys.add_argument("--suite", type=int, choices=SUITES, default=1, help="what partners seal to us with")

    agree = commands.add_parser("agree", parents=[common], help="countersign an agreement")
    agree.add_argument("--agreement", type=Path, required=True, help="the agreement, signed by the partner")
    agree.add_argument("--partner-identity", type=Path, help="the partner's identity, compared by another channel")

    refer = commands.add_parser("refer", parents=[common], help="hand persons over, and see them arrive")
    refer.add_argument("--partner-keys", type=Path, nargs="+", required=True, help="the partners' key documents")
    refer.add_argument("--broker", default=os.environ.get(BROKER), help=f"the exchange (or in {BROKER})")
    refer.add_argument("--http", help="the partner's intake: send there, and not through the broker")
    refer.add_argument("--referral", type=Path, nargs="+", required=True, help="our files on the persons")
    refer.add_argument("--to", default="ccem-fr", help="the partner (default: %(default)s)")
    refer.add_argument("--timeout", type=float, default=600.0, help="seconds to wait (default: %(default)s)")
    refer.add_argument("--withdraw", action="store_true", help="withdraw what has not arrived in time")
    return parser


def _print(line: str) -> None:
    print(line, flush=True)
