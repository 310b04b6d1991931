"""What every route of the desk needs: act through the shell, and read what was decided.

A route parses, asks the domain's rule through the shell, and renders. What is unknown and what is forbidden look the
same.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from services.referral.commands import Command, NewCase
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.known import Erased, Files, Folder, Kept, Newer, NewerReport
from services.referral.loading import What
from services.referral.recipients import Recipients
from services.referral.routes.shown import NewerShown, ReferralShown
from services.referral.store import papers
from services.referral.store.papers import KeptPaper
from services.referral.store.referrals import Referrals, of_alias
from services.referral.store.reports import Reports
from shared.clock import Clock
from shared.contracts.ids import Alias, OrganisationId, ReferralId
from shared.contracts.personal import Moment
from shared.contracts.problem import ProblemCode
from shared.messaging.decision import Refusal
from shared.messaging.delivery import Heard
from shared.messaging.desk import REUSED
from shared.messaging.holding import FAILED
from shared.messaging.shell import Shell
from shared.sealing.codes import EnvelopeError, KeyringCode
from shared.sealing.directory import Directory
from shared.staff import Role, StaffMember
from shared.storage.pool import CONTENDED, Connection, Pool, is_away
from shared.telemetry import traces
from shared.telemetry.logs import get_logger
from shared.uuids import random_uuid
from shared.values import dataclass
from shared.web.access import having
from shared.web.documented import problems
from shared.web.idempotency import fingerprint, request_id
from shared.web.problem import KEY_RETRY_SECONDS, NOT_FOUND, Problem, try_again

log = get_logger(__name__)

Answer = TypeVar("Answer")

UNAVAILABLE = 503
"""What is ours to mend is missing: the same may be asked again."""

_STATUS: Mapping[str, int] = MappingProxyType(
    {
        NOT_FOUND: 404,
        Refused.ERASED: 410,
        FAILED: 500,
        KeyringCode.KEY_MISSING: UNAVAILABLE,
        Refused.NEWER: UNAVAILABLE,
    }
)
_CODE: Mapping[str, str] = MappingProxyType({FAILED: ProblemCode.FAILED, REUSED: ProblemCode.KEY_REUSED})

LONGEST_PAGE = 200

REPEATED = 200
"""The same request has been here before: what it made is shown again."""

REFUSALS = problems(401, 404, 410, 422, 503) | {
    409: {**problems(409)[409], "description": "Refused by a rule, and nothing has happened; the code says which rule."}
}
"""What any route of the desk may answer instead."""

CASEWORKERS = having(Role.CASEWORKER, Role.COORDINATOR)
"""Whoever may open files and decide about referrals: to the others, no route of the desk is there."""

IdempotencyKey = Annotated[str | None, Header(max_length=200)]
"""A caller's own name for a request: the same again changes nothing (draft-ietf-httpapi-idempotency-key-header)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how a repetition is recognised."""

    by: StaffMember
    id: UUID | None
    digest: bytes

    def reading(self) -> "Caller":
        """Return the same member of staff, about to read: each reading is one, and is written down."""
        return Caller(self.by, None, b"")

    def about(self, one: UUID) -> "Caller":
        """Return the same request as far as it is about ``one`` of many: what is done there is done once."""
        return self if self.id is None else replace(self, id=self.fresh(one))

    def fresh(self, within: UUID) -> UUID:
        """Return an id for what the request makes: random, and the same when the request is repeated.

        ``within`` is an id that never leaves the organisation: without it nobody could tell the result from chance.
        """
        if self.id is None:
            return random_uuid()
        return UUID(bytes=sha256(b"made\0" + within.bytes + self.id.bytes).digest()[:16], version=4)


Member = Annotated[StaffMember, Depends(CASEWORKERS)]


async def asked(request: Request, member: Member, idempotency_key: IdempotencyKey = None) -> Caller:
    """Return who asks; with an idempotency key, the same request twice is one."""
    if idempotency_key is None:
        return Caller(member, None, b"")
    said = f"{request.method} {request.url.path}\0".encode() + await request.body()
    return Caller(member, request_id("command", member.id, idempotency_key), fingerprint(idempotency_key, said))


async def reader(member: Member) -> Caller:
    """Return who wants to read."""
    return Caller(member, None, b"")


Asked = Annotated[Caller, Depends(asked)]
Reader = Annotated[Caller, Depends(reader)]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    after: tuple[datetime, UUID] | None
    limit: int


async def page(
    before: Moment | None = None,
    before_id: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
) -> Page:
    """Return the page that is asked for.

    Raises:
        RequestValidationError: one of ``before`` and ``before_id`` is there without the other.
    """
    if before is not None and before_id is not None:
        return Page((before, before_id), limit)
    if before is None and before_id is None:
        return Page(None, limit)
    absent = "before" if before is None else "before_id"
    raise RequestValidationError([{"type": "missing", "loc": ("query", absent)}])


ThePage = Annotated[Page, Depends(page)]


@dataclass(frozen=True, slots=True)
class Office:
    """The desk, as its routes see it."""

    us: OrganisationId
    pool: Pool
    shell: Shell[What, Files]
    directory: Directory
    clock: Clock
    referrals: Referrals
    reports: Reports
    recipients: Recipients

    async def act(self, asked: Caller, key: UUID, command: Command | NewCase) -> Kept:
        """Make a command about what ``key`` names true, and return what was decided.

        Raises:
            Problem: 404 where there is nothing of that name for this reader; 410 where it was erased; 409 with the
                reason where a rule refuses, or where what is to be sent is too large; 503 where a key of ours
                is missing, a newer version of Relais has written what it looks at, or somebody else is in the way.
        """
        heard: Heard[What] = Heard(
            id=asked.id,
            digest=asked.digest,
            key=key,
            what=command,
            traceparent=traces.current_traceparent(),
            attributes=command.ids(key),
        )
        try:
            decision = await self.shell.act(heard)
        except EnvelopeError as refused:
            raise Problem(409, refused.code) from None
        except CONTENDED:
            raise try_again() from None
        if isinstance(decision, Kept):
            return decision
        raise _problem(decision.refusal)

    async def act_on_each(
        self, asked: Caller, referrals: Sequence[ReferralId], command: Command
    ) -> dict[ReferralId, str]:
        """Make a command true about each of ``referrals`` that it can be, and return the code of why not of the others.

        Asked again with the same idempotency key, it is made true about what was left, and nowhere twice.

        Raises:
            OSError, asyncpg.PostgresError: the database is away; what was done by then is done.
        """
        left: dict[ReferralId, str] = {}
        for referral in referrals:
            try:
                await self.act(asked.about(referral), referral, command)
            except Problem as problem:
                left[referral] = problem.code
            except Exception as error:
                if is_away(error):
                    raise
                log.warning("referral.stuck", referral_id=referral, error=type(error).__name__)
                left[referral] = ProblemCode.FAILED
        return left

    async def open_papers(self, reader: Caller, key: UUID, command: Command) -> list[KeptPaper]:
        """Return the documents about what ``key`` names, once the reading is ruled on and written down.

        Raises:
            Problem: as :meth:`act`.
        """
        folder = readable(await self.act(reader, key, command))
        async with self.pool.acquire() as connection:
            return await papers.about(connection, key, folder)

    async def read(
        self, question: Callable[[Connection], Awaitable[Answer | Erased[Answer] | Newer | NewerReport | None]]
    ) -> Answer:
        """Return what ``question`` finds.

        Raises:
            Problem: 404; 410 where it was erased; 503 where a newer version of Relais has written it.
        """
        async with self.pool.acquire() as connection:
            answer = await question(connection)
        if answer is None:
            raise Problem(404, NOT_FOUND)
        if isinstance(answer, Erased):
            raise Problem(410, Refused.ERASED)
        if isinstance(answer, Newer | NewerReport):
            raise _problem(Refusal(Refused.NEWER))
        return answer

    async def referral(self, referral: ReferralId) -> Referral:
        """Return a referral as it stands.

        Raises:
            Problem: as :meth:`read`.
        """
        return await self.read(lambda connection: self.referrals.find(connection, referral))

    async def standing(self, referral: ReferralId) -> ReferralShown:
        """Show where a referral stands.

        Raises:
            Problem: as :meth:`read`.
        """
        (shown,) = await self.shown([await self.referral(referral)])
        return shown

    async def moved(self, referral: ReferralId) -> ReferralShown:
        """Show where a referral stands after a command: in codes, also where its case was erased.

        Raises:
            Problem: 404; 503 where a newer version of Relais has written it since.
        """

        async def in_codes(connection: Connection) -> Referral | Newer | None:
            found = await self.referrals.find(connection, referral)
            return found.thing if isinstance(found, Erased) else found

        (shown,) = await self.shown([await self.read(in_codes)])
        return shown

    async def listed(
        self, found: Sequence[Referral | Newer], say: Callable[[str], str]
    ) -> list[ReferralShown | NewerShown]:
        """Show what was ``found``, in its order; ``say`` finds the words for what cannot be read."""
        shown = {each.id: each for each in await self.shown([each for each in found if isinstance(each, Referral)])}
        return [NewerShown.of(each, say) if isinstance(each, Newer) else shown[each.alias] for each in found]

    async def shown(self, referrals: Sequence[Referral]) -> list[ReferralShown]:
        """Show ``referrals``, each beside the others of its case."""
        at, cases = self.clock.now(), {referral.case for referral in referrals}
        async with self.pool.acquire() as connection:
            beside = await self.referrals.of_cases(connection, cases)
        return [ReferralShown.of(referral, _other_legs(beside, referral), at) for referral in referrals]


def _other_legs(beside: Sequence[Referral | Newer], referral: Referral) -> list[Referral] | None:
    """Return the other referrals of the case of ``referral``; ``None`` where one of them cannot be read."""
    others = [leg for leg in beside if leg.case == referral.case and leg.id != referral.id]
    legs = [leg for leg in others if isinstance(leg, Referral)]
    return legs if len(legs) == len(others) else None


def readable(kept: Kept) -> Folder:
    """Return the key under which what was read lies.

    Raises:
        Problem: 410 where it was erased.
    """
    if kept.folder is None:
        raise Problem(410, Refused.ERASED)
    return kept.folder


def made(kept: Kept, response: Response) -> None:
    """Answer with 200 in place of 201 where the same request has been here before, and made nothing now."""
    if kept.repeated:
        response.status_code = REPEATED


def _problem(refusal: Refusal | None) -> Problem:
    """Return the answer to what was refused, or has been here before and is not there any more."""
    code, detail = (refusal.code, refusal.detail) if refusal else (NOT_FOUND, {})
    status = _STATUS.get(code, 409)
    headers = {"Retry-After": str(KEY_RETRY_SECONDS)} if status == UNAVAILABLE else {}
    return Problem(status, _CODE.get(code, code), detail=detail, headers=headers)


def office(request: Request) -> Office:
    """Return the office of this application."""
    found: Office = request.app.state.office
    return found


TheOffice = Annotated[Office, Depends(office)]


async def words(request: Request) -> Callable[[str], str]:
    """Return what finds the words for a code, in the language of ``request``."""
    found = request.app.state.words
    return partial(found.say, found.for_request(request.headers.get("accept-language", "")))


TheWords = Annotated[Callable[[str], str], Depends(words)]


async def named(office: TheOffice, referral: Annotated[Alias, Path()]) -> ReferralId:
    """Return which referral the alias in the path names.

    Raises:
        Problem: 404.
    """
    return await office.read(lambda connection: of_alias(connection, referral))


TheReferral = Annotated[ReferralId, Depends(named)]
"""A referral, which a path names by its alias: nothing that a partner chose stands in an address of ours."""
