"""URLs of an episode's pictures as templates, so that 10,000 faces need two signatures and not 20,000."""

from services.access.sessions import Caller
from services.access.signing import signed_folder_url, signed_url
from services.context import Services
from services.db.models import Episode


def media_templates(services: Services, caller: Caller, episode: Episode) -> dict[str, str]:
    """What opens an episode's pictures for a while, below the API's address.

    Returns:
        `thumb` and `crop` with `{det}` for the id of a detection whose picture is kept; `known` with
        `{person}` for somebody whom the facebank knows; `frame` with `{ts}` for milliseconds on the source's
        clock, to which `&height=` may be added; and `video`, which is whole.
    """
    media = f"/v1/media/episodes/{episode.id}"
    return {
        "thumb": signed_folder_url(services, caller, f"{media}/thumbs/", "{det}.webp"),
        "crop": signed_folder_url(services, caller, f"{media}/crops/", "{det}.jpg"),
        "known": signed_folder_url(services, caller, f"{media}/people/", "{person}.webp"),
        "frame": signed_folder_url(services, caller, f"{media}/frames/", "{ts}.jpg"),
        "video": signed_url(services, caller, f"{media}/video"),
    }
