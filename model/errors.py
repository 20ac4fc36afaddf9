"""All errors that input can cause; each message says what is wrong and what to do.

ThudError                    shown as one line, never as a traceback
├── PictureError             a picture that cannot be used
│   ├── PictureFormatError   not a JPEG, PNG, WebP or AVIF picture
│   └── PictureTooLargeError more bytes or pixels than the limits allow
├── SoundError               a sound that cannot be used (format, length, silence, broken samples)
│   ├── SoundFormatError     not a sound of one of the formats that are read
│   └── SoundTooLargeError   longer, or of more samples, than the limits allow
├── ManifestError            a manifest that cannot be understood
│   └── NotAManifestError    a table that lists no files: not a manifest at all
├── BundleError              a bundle that is missing, broken or of another format version
├── LibraryError             an index or sound library that cannot be used (see index/)
│   ├── DamagedIndexError    an index that turns out to be broken while it is in use
│   ├── FilterError          a filter, a cursor or an id that is no such thing
│   ├── SoundsAwayError      a sound folder that cannot be reached, such as a share that is not mounted
│   └── EngineAwayError      an engine that holds an index and does not answer
├── FetchError               sounds that cannot be fetched from where people keep them
├── BusyError                more is asked at once than there is room for; ask again later
└── TrainingError            a dataset, recipe or checkpoint that cannot be used (see training/)
    └── NoDataError          a split without the data that a command needs
"""


class ThudError(Exception):
    """A mistake in the input that the user can correct; the message is written for the user."""


class PictureError(ThudError):
    """A picture that cannot be used."""


class PictureFormatError(PictureError):
    """Not a picture, or a picture in a format outside the allow-list."""


class PictureTooLargeError(PictureError):
    """A picture with more bytes or pixels than the limits allow."""


class SoundError(ThudError):
    """A sound that cannot be used."""


class SoundFormatError(SoundError):
    """Not a sound, or a sound in a format that is not read."""


class SoundTooLargeError(SoundError):
    """A sound that is longer, or of more samples, than the limits allow."""


class ManifestError(ThudError):
    """A manifest that cannot be understood."""


class NotAManifestError(ManifestError):
    """A table without a column of paths: a file of another program that happens to have the name."""


class BundleError(ThudError):
    """A bundle that is missing, broken or of another format version."""


class LibraryError(ThudError):
    """An index or a sound library that cannot be used."""


class DamagedIndexError(LibraryError):
    """An index that turns out to be broken while it is in use."""


class FilterError(LibraryError):
    """A condition on sounds, a cursor or an id that is no such thing; `field` is the argument that is wrong."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class SoundsAwayError(LibraryError):
    """A sound folder that cannot be reached, or that holds none of the library's files (a share not mounted)."""


class EngineAwayError(LibraryError):
    """An engine that holds an index and does not answer; `retry_after` is in how many seconds to ask again."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FetchError(ThudError):
    """Sounds that cannot be fetched from where people keep them: no token, no answer, a limit that is reached."""


class BusyError(ThudError):
    """More is asked at once than there is room for; `retry_after` is in how many seconds to ask again."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TrainingError(ThudError):
    """A dataset, recipe or checkpoint that cannot be used."""


class NoDataError(TrainingError):
    """A split without the data that a command needs."""
