"""How a show knows its people: a face of theirs that the facebank keeps."""

import io
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from screenalyzer import facebank
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError
from screenalyzer.facebank import Face
from screenalyzer.review.cast import Cast
from screenalyzer.review.model import Person
from services.api import files
from services.api.problems import ApiError, not_found

_SIDE: Final = 160  # pixels
_QUALITY: Final = 80


def known_face(paths: EpisodePaths, people: Iterable[Person], person_id: str) -> bytes:
    """A WebP of a typical face of somebody; from another episode than this one, if there is one.

    Args:
        paths: of the episode that is looked at.
        people: everybody of its show in SQL.
        person_id: of whom.

    Raises:
        ApiError: 404 where no face of theirs is kept; 409 where it is damaged.
    """
    try:
        bank = facebank.load(paths.facebank)
    except ArtifactError as e:
        raise ApiError(409, "damaged", str(e)) from e
    known = bank.people if bank else {}
    cast = Cast({p.person_id: p for p in people}, known)
    wanted = {cast.resolve(person_id), person_id}  # the facebank has ids of its own, by the name
    names = [n for n in known if {cast.by_name(n), facebank.person_id(n)} & wanted]
    own = [f for name in names for f in known[name]]
    if not own:
        raise not_found("kept face of person", person_id, "The facebank learns from reviewed episodes.")
    others = [f for f in own if f.episode != paths.episode]
    return _picture(_typical(others or own))


def _typical(faces: Sequence[Face]) -> Face:
    """The one nearest to the mean of all."""
    vectors = np.array([f.embedding for f in faces])
    return faces[int(np.argmax(vectors @ vectors.mean(axis=0)))]


def _picture(face: Face) -> bytes:
    try:
        with Image.open(io.BytesIO(face.crop)) as crop:
            return files.webp(crop.convert("RGB"), _SIDE, _QUALITY)
    except (UnidentifiedImageError, OSError) as e:
        raise ApiError(409, "damaged", "This picture of the facebank is damaged.") from e
