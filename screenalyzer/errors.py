"""One tree of errors; every message says what happened, where, and what to do."""

from pathlib import Path


class ScreenalyzerError(Exception):
    """Root of every error that Screenalyzer raises on purpose."""


class InputError(ScreenalyzerError):
    """Something the user gave cannot be used as it is."""


class VideoError(InputError):
    """A video file cannot be processed."""

    def __init__(self, path: Path | str, what: str, advice: str) -> None:
        """Keep the facts apart so that a caller can show or log them separately.

        Args:
            path: the file.
            what: what is wrong, and where in the file.
            advice: what the user can do about it.
        """
        super().__init__(f"{Path(path).name}: {what}. {advice}")
        self.path, self.what, self.advice = str(path), what, advice

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Let the error cross process boundaries unchanged."""
        return type(self), (self.path, self.what, self.advice)


class FileMissingError(VideoError):
    """There is no such file."""


class EmptyVideoError(VideoError):
    """The file has no bytes, or a video stream without a single frame."""


class NotAVideoError(VideoError):
    """The content is not a media container that can be opened, whatever the name says."""


class NoVideoStreamError(VideoError):
    """A media file without moving pictures: audio, or a cover image."""


class TruncatedVideoError(VideoError):
    """The container announces more than the file holds."""


class UnsupportedCodecError(VideoError):
    """The video stream is coded in a way that this build cannot decode."""


class UndecodableVideoError(VideoError):
    """The container opens, but not one frame of the stream decodes."""


class SlowVideoError(VideoError):
    """A picture that takes longer to read than anybody waits for it."""


class EpisodeConflictError(InputError):
    """An episode of this name exists with other content."""


class EpisodeBusyError(InputError):
    """Another run is processing the episode."""


class JobStateError(InputError):
    """A job is in a state that does not allow what was asked of it."""


class EpisodeNameError(InputError):
    """A show or episode name that cannot be used."""


class ArtifactError(ScreenalyzerError):
    """An artifact is missing, damaged or of another schema."""


class StoreError(ScreenalyzerError):
    """The object store that holds the data root does not answer, or refuses."""


class ModelError(ScreenalyzerError):
    """A model cannot be used."""


class ModelUnavailableError(ModelError):
    """Weights are neither cached nor fetchable."""


class ModelChecksumError(ModelError):
    """A weight file is not the one that was asked for."""


class EmbedderMismatchError(ModelError):
    """A facebank filled by one embedder was opened with another."""


class ConstraintError(InputError):
    """Constraints contradict one another, for example must-link and cannot-link of one pair."""


class EditRefusedError(InputError):
    """An edit of a review that cannot be made as things stand: something is gone, locked or decided."""


class InferenceError(ScreenalyzerError):
    """A model replica failed for good, after every retry."""


class SettingsError(InputError):
    """A setting is out of range or contradicts another."""


class ServiceError(ScreenalyzerError):
    """The service cannot be started, reached or stopped, or has refused what it was asked."""


class DemoAssetsError(ScreenalyzerError):
    """The pictures that the demo season is drawn from are not installed."""
