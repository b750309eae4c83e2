"""Changes of people's attributes, as events of the tracker `profiles`, which triggers on profiles listen to.

A profile's row keeps the last changes of each attribute that a trigger watches. So whoever tells of a change again, as the first
to do so died half way, tells of the same, under the same id. What no trigger watches is not kept and costs nothing.

Only what trackers' events tell of a person is heard of. Neither opt-outs and bounces nor the joining of two profiles are changes
of attributes here, and a value that was told late, and lost against a newer one, is none either.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.clock import iso
from shared.ids import digest
from shared.jobs import TrackerEvent
from shared.person import Change, Profile
from shared.trackers import PROFILES
from shared.visit_rules import PROFILE_CHANGED


def changes(person: Profile, told: TrackerEvent) -> Iterator[TrackerEvent]:
    """The changes that an event made to watched attributes of this person, whom it told of, each as an event."""
    for attribute in told.traits:
        for change in person.changes.get(attribute, ()):
            if change[0] == told.at:
                yield _event(person.id, attribute, change, told)


def _event(profile: str, attribute: str, change: Change, told: TrackerEvent) -> TrackerEvent:
    at, old, new = change
    values = {"attribute": attribute, "old": old, "new": new}
    return TrackerEvent(
        id="c_" + digest("change", profile, attribute, iso(at)),
        tracker=PROFILES,
        name=PROFILE_CHANGED,
        at=at,
        received_at=told.received_at,
        user_id=profile,
        properties={name: value for name, value in values.items() if value is not None},
    )
