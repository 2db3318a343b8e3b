"""What each entity of an episode is called."""

from screenalyzer.people import stand_in
from screenalyzer.review.cast import Cast
from screenalyzer.review.grouping import Grouping


def entity_names(grouping: Grouping, cast: Cast) -> dict[str, str]:
    """The name to show for each entity, by id; see `display_names` for those that have none."""
    people = {e for e in grouping.entities if e not in grouping.groups or grouping.groups[e].person == e}
    names: dict[str, str] = {}
    taken = {cast.name(e).casefold() for e in people}
    for e in grouping.entities:
        names[e] = cast.name(e) if e in people else stand_in(grouping.groups[e].number, taken)
        taken.add(names[e].casefold())
    return names
