"""What is audited: every endpoint, and the word by which the audit speaks of it; or why it is not (a test holds the list whole).

A *change* is noted in its own transaction as being under way, so that it cannot be made and not be written down. A *look* makes
no change: without its entry it is not answered.
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What follows where the audit cannot be written."""

    LOOK = "look"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Action:
    """How an endpoint is audited."""

    word: str
    kind: Kind
    made: str | None = None
    """Field of a JSON answer with the public id of what was made."""


def _look(word: str) -> Action:
    return Action(word, Kind.LOOK)


def _change(word: str, made: str | None = None) -> Action:
    return Action(word, Kind.CHANGE, made)


CAMERA = "live.camera"
"""Frames of cameras and whom they recognise, a minute at a time."""

ACTIONS: dict[str, Action] = {
    "search.search": _look("search.photo"),
    "verify.compare": _look("search.verify"),
    "verify.detect": _look("search.detect"),
    "represent.represent": _look("search.represent"),
    "clusters.clusters": _look("search.clusters"),
    "clusters.alike": _look("search.alike"),
    "live.match": _change("live.match"),
    "photos.add": _change("photo.add", "job"),
    "photos.delete": _change("photo.delete"),
    "photos.raw": _look("photo.raw"),
    "people.create": _change("person.create", "id"),
    "people.change": _change("person.change"),
    "people.delete": _change("person.erase"),
    "people.add_photos": _change("person.add_photos"),
    "exporting.export": _look("person.export"),
    "merges.merge": _change("person.merge"),
    "merges.undo": _change("person.undo_merge"),
    "rejections.distinguish": _change("person.distinguish"),
    "rejections.confound": _change("person.confound"),
    "faces.assign": _change("face.assign"),
    "faces.delete": _change("face.delete"),
    "naming.assign_all": _change("face.assign_several"),
    "naming.reject_all": _change("face.reject_several"),
    "naming.take_back_all": _change("face.take_back_several"),
    "naming.delete_all": _change("face.delete_several"),
    "naming.confirm": _change("face.confirm"),
    "rejections.reject": _change("face.reject"),
    "rejections.take_back": _change("face.take_back"),
    "imports.create": _change("import.create", "job"),
    "imports.close": _change("import.close"),
    "jobs.cancel": _change("job.cancel"),
    "jobs.retry": _change("job.retry"),
    "jobs.report": _look("job.export"),
    "collections.create": _change("collection.create"),
    "collections.change": _change("collection.change"),
    "collections.confirm": _change("collection.confirm_retention"),
    "collections.delete": _change("collection.delete"),
    "erasures.hasten": _change("erasure.hasten"),
    "consents.record": _change("consent.record"),
    "consents.withdraw": _change("consent.withdraw"),
    "models.add": _change("model.add", "id"),
    "models.activate": _change("model.activate"),
    "models.attach_head": _change("model.attach_head"),
    "models.quantize": _change("model.quantize"),
    "models.retire": _change("model.retire"),
    "models.prune": _change("model.prune"),
    "rebuilds.create": _change("rebuild.create", "rebuild"),
    "rebuilds.decide": _change("rebuild.decide"),
    "rebuilds.pause": _change("rebuild.pause"),
    "rebuilds.resume": _change("rebuild.resume"),
    "rebuilds.cancel": _change("rebuild.cancel"),
    "rebuilds.switch": _change("rebuild.switch"),
    "rebuilds.rollback": _change("rebuild.rollback"),
    "rebuilds.report": _look("rebuild.report"),
    "computing.train": _change("training.create", "job"),
    "computing.evaluate": _change("evaluation.create", "job"),
    "computing.calibrate": _change("calibration.create", "job"),
    "computing.report": _look("evaluation.report"),
    "checks.begin_check": _change("check.create", "job"),
    "backups.create": _change("backup.create", "job"),
    "sealing.rewrap": _change("sealing.rewrap"),
    "sources.ensure": _change("source.create", "id"),
    "sources.begin": _change("source.begin"),
    "sources.end": _change("source.end"),
    "sources.note": _change("source.note"),
    "sources.leave": _change("source.leave"),
    "sources.release": _change("source.release"),
    "sources.settle": _change("source.settle"),
    "sources.delete": _change("source.delete"),
    "keyring.create": _change("key.create", "id"),
    "keyring.rotate": _change("key.rotate", "id"),
    "keyring.revoke": _change("key.revoke"),
    "webhooks.create": _change("webhook.create", "id"),
    "webhooks.delete": _change("webhook.delete"),
    "webhooks.test": _change("webhook.test"),
    "audit.index": _look("audit.read"),
    "console.audit": _look("audit.read"),
    "audit.check": _look("audit.verify"),
    "console.sign_in": _change("session.begin"),
    "console.sign_out": _change("session.end"),
    "compreface.recognize": _look("search.photo"),
    "compreface.detect": _look("search.detect"),
    "compreface.verify": _look("search.verify"),
    "compreface.verify_example": _look("search.verify"),
    "compreface.add_subject": _change("person.create"),
    "compreface.rename_subject": _change("person.change"),
    "compreface.delete_subject": _change("person.erase"),
    "compreface.delete_subjects": _change("person.erase_all"),
    "compreface.add_example": _change("photo.add"),
    "compreface.delete_examples": _change("face.delete_several"),
    "compreface.delete_example": _change("face.delete"),
    "compreface.delete_some_examples": _change("face.delete_several"),
    "compreface.example_image": _look("photo.raw"),
}
"""By Flask's name of the endpoint."""

_LIST, _ONE, _STATE, _FILE = (
    "a list",
    "one thing as it is",
    "no personal data",
    "a file of the console or the documentation",
)

NOT: dict[str, str] = {
    "people.index": _LIST,
    "people.show": _ONE,
    "photos.show": _ONE,
    "photos.thumbnail": _ONE,
    "faces.index": _LIST,
    "faces.show": _ONE,
    "faces.chip": _ONE,
    "merges.index": _LIST,
    "erasures.index": _LIST,
    "erasures.show": _LIST,
    "rejections.index": _LIST,
    "rejections.distinct": _LIST,
    "doubtful.index": _LIST,
    "doubtful.poor": _LIST,
    "jobs.index": _LIST,
    "jobs.show": _ONE,
    "jobs.items": _LIST,
    "jobs.people": _LIST,
    "events.follow": _STATE,
    "events.follow_rebuild": _STATE,
    "rebuilds.index": _LIST,
    "rebuilds.show": _ONE,
    "rebuilds.findings": _LIST,
    "calibrations.show": _STATE,
    "computing.index": _STATE,
    "computing.show": _STATE,
    "checks.index": _STATE,
    "backups.index": _STATE,
    "sealing.show": _STATE,
    "sources.index": _STATE,
    "sources.files": _LIST,
    "collections.index": _STATE,
    "consents.show": _ONE,
    "collections.show": _STATE,
    "models.index": _STATE,
    "models.show": _STATE,
    "keyring.index": _STATE,
    "webhooks.index": _STATE,
    "webhooks.show": _STATE,
    "webhooks.deliveries_of": _STATE,
    "status.show": _STATE,
    "privacy.report": _STATE,
    "metrics": _STATE,
    "live": _STATE,
    "ready": _STATE,
    "problem_page": _FILE,
    "openapi_document": _FILE,
    "openapi.doc_url": _FILE,
    "openapi.openapi": _FILE,
    "openapi.static": _FILE,
    "swagger.oauth2-redirect": _FILE,
    "swagger.static": _FILE,
    "swagger.swagger": _FILE,
    "compreface.not_offered": "nothing is done there",
    "asset": _FILE,
    "compreface.list_subjects": _LIST,
    "compreface.list_examples": _LIST,
    "console.who": "a page; what is done on it goes through the API",
    "console.live": "a page; what is done on it goes through the API",
    "console.enrol": "a page; what is done on it goes through the API",
    "console.review": _LIST,
    "console.imports": _LIST,
    "console.recent_imports": _LIST,
    "console.import_job": _ONE,
    "console.people": _LIST,
    "console.basis": _STATE,
    "console.person": _ONE,
    "console.erasures": _LIST,
    "console.person_erasure": _ONE,
    "console.photo": _ONE,
    "console.models": _STATE,
    "console.rebuild": _ONE,
    "console.status": _STATE,
    "console.session": "goes on with a session whose beginning is audited",
    "console.preferences": "language and theme of a browser",
}
"""Endpoints that are not audited, and what they show."""
