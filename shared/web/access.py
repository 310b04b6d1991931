"""Who is asking: a member of staff, known by a bearer token (RFC 6750)."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.contracts.problem import ProblemCode
from shared.staff import Role, StaffBook, StaffMember
from shared.web.problem import NOT_FOUND, Problem

_bearer = HTTPBearer(auto_error=False, description="The token of a member of staff.")


async def signed_in(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> StaffMember:
    """Return who asks; the application keeps its ``StaffBook`` in ``app.state.staff``.

    Raises:
        Problem: 401 ``not-signed-in``.
    """
    staff: StaffBook = request.app.state.staff
    member = staff.with_token(credentials.credentials) if credentials else None
    if member is None:
        raise Problem(401, ProblemCode.NOT_SIGNED_IN, headers={"WWW-Authenticate": "Bearer"})
    return member


SignedIn = Annotated[StaffMember, Depends(signed_in)]
"""A parameter of a route that any member of staff may use."""


def having(*roles: Role) -> Callable[[StaffMember], Awaitable[StaffMember]]:
    """Return a dependency that lets only members with one of ``roles`` in; to the others, the route is not there."""

    async def allowed(member: SignedIn) -> StaffMember:
        if member.roles.isdisjoint(roles):
            raise Problem(404, NOT_FOUND)
        return member

    return allowed
