"""The desk's JSON API for staff: parse, decide through the shell, render. No rule and no SQL."""

from services.referral.routes import cases, referrals, reports

ROUTERS = (reports.router, cases.router, referrals.router)
