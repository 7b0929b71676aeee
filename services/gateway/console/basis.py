"""Basis and notice: why people are in a collection, what they are told, and how long they stay."""

from flask import render_template
from flask.typing import ResponseReturnValue

from services.catalog.privacy import bases, consents
from services.gateway.collections import basis_out, retention_out
from services.gateway.console.language import gettext as _
from services.gateway.console.pages import collection, page
from services.gateway.doors import collection_of, gateway


@page("/people/basis", "read")
def basis() -> ResponseReturnValue:
    """On what basis people are in the collection; as a fragment where a script asks."""
    with gateway().catalog.reading() as session:
        one = collection_of(session, collection())
        shown = {
            "one": one,
            "basis": basis_out(one),
            "retention": retention_out(session, one),
            "lacking": consents.lacking(session, one) if bases.is_consent(one) else None,
            "grounds": _grounds(),
            "asks": gateway().require_basis,
        }
    return render_template("basis.html", **shown)


def _grounds() -> dict[str, str]:
    """What each ground of the GDPR is called."""
    return {
        "consent": _("Explicit consent of each person (article 9(2)(a))"),
        "employment_law": _("Employment and social security law (9(2)(b))"),
        "vital_interests": _("Vital interests (9(2)(c))"),
        "legitimate_activities": _("Members of an association (9(2)(d))"),
        "made_public": _("Manifestly made public (9(2)(e))"),
        "legal_claims": _("Legal claims (9(2)(f))"),
        "substantial_public_interest": _("Substantial public interest (9(2)(g))"),
        "health_care": _("Occupational medicine (9(2)(h))"),
        "public_health": _("Public health (9(2)(i))"),
        "research": _("Archives, research, statistics (9(2)(j))"),
        "contract": _("A contract (6(1)(b); not enough for biometrics)"),
        "legal_obligation": _("A legal obligation (6(1)(c); not enough for biometrics)"),
        "public_task": _("A public task (6(1)(e); not enough for biometrics)"),
        "legitimate_interests": _("Legitimate interests (6(1)(f); not enough for biometrics)"),
        "other": _("Another one, as stated"),
    }
