"""The partner system of the demo: a program of its own, which knows what ``docs/protocol/`` says and nothing else.

It runs as a process of its own. We hand it what a partner is handed: our key document, an agreement to countersign, an
account on the exchange.
"""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

from deploy.local.errors import LocalCode, LocalError
from deploy.nodes import AGREED_FOR
from shared.contracts.codes import RecipientKind, ReferralKind
from shared.contracts.ids import OrganisationId
from shared.sealing.agreement import FORM, Agreement, Party
from shared.sealing.documents import note_signer, sign_document
from shared.sealing.enrol import Identity, introduce, published_document
from shared.sealing.keys import KeyPurpose

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = ("-m", "examples.partner_system")
REFERRALS: Final = ROOT / "examples" / "referrals"
MAY_SEND: Final = tuple(sorted(ReferralKind))
TIMEOUT_SECONDS: Final = 60


def introduce_partner(folder: Path, partner: OrganisationId, ours: Path, us: Identity, at: datetime) -> None:
    """Let the partner system make its keys, agree with it, and give each the other's documents.

    Args:
        folder: the partner's own.
        partner: its id.
        ours: the folder of the organisation that it agrees with.
        us: that organisation's identity.
        at: from when they agree.

    Raises:
        LocalError: ``server-unusable``: the program does not do what its documents say.
    """
    run(folder, "keys", "--organisation", partner)
    theirs = (folder / f"{partner}.vkey").read_text().strip()
    signed = folder / f"{us.organisation}.signed-agreement"
    signed.write_text(_agreement(partner, theirs, us, at))
    identity = folder / f"{us.organisation}.vkey"
    identity.write_text(us.vkey + "\n")
    done = run(folder, "agree", "--agreement", str(signed), "--partner-identity", str(identity))
    countersigned = folder / json.loads(done.splitlines()[-1])["file"]
    introduce(ours, countersigned.read_text(), (folder / f"{partner}.keys").read_text())
    partner_keys(folder, us.organisation).write_text(published_document(ours, us.organisation))


def partner_keys(folder: Path, organisation: OrganisationId) -> Path:
    """Return where the partner keeps the key document of ``organisation``."""
    return folder / f"{organisation}.published-keys"


def run(folder: Path, command: str, *arguments: str) -> str:
    """Run one short command of the program and return what it printed."""
    done = subprocess.run(
        [sys.executable, *PROGRAM, command, "--folder", str(folder), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise LocalError(LocalCode.SERVER_UNUSABLE, f"the partner system could not do {command}: {done.stdout.strip()}")
    return done.stdout


def _agreement(partner: OrganisationId, theirs: str, us: Identity, at: datetime) -> str:
    """Return the agreement as we alone have signed it."""
    parties = sorted(
        (
            Party(organisation=partner, kind=RecipientKind.SUPPORT, identity=theirs, may_send=MAY_SEND),
            Party(organisation=us.organisation, kind=RecipientKind.SUPPORT, identity=us.vkey, may_send=MAY_SEND),
        ),
        key=lambda party: party.organisation,
    )
    since = at.replace(microsecond=0)
    agreement = Agreement(
        parties=(parties[0], parties[1]), valid_from=since, valid_until=since + AGREED_FOR, transfer_basis=None
    )
    return sign_document(FORM, agreement, [note_signer(us.organisation, KeyPurpose.IDENTITY, us.key)])
