"""A sound of the library as a file that a decoder reads."""

import io
from typing import TYPE_CHECKING

from index.answers.sound_files import SoundFile
from model.errors import LibraryError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class SoundContent(io.RawIOBase):
    """A sound's file as a file to read from. Errors come to the decoder as OSError; `error` is what it was."""

    def __init__(self, sound: SoundFile) -> None:
        self._sound, self._at = sound, 0
        self.error: LibraryError | OSError | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to `offset` from the start, the current position or the end."""
        self._at = offset + (0, self._at, self._sound.size)[whence]
        return self._at

    def tell(self) -> int:
        """The current position."""
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` as far as there are bytes and return their number."""
        target = memoryview(buffer)
        try:
            data = self._sound.read(self._at, len(target))
        except (LibraryError, OSError) as error:
            self.error = error
            raise OSError(str(error)) from error
        target[: len(data)] = data
        self._at += len(data)
        return len(data)
